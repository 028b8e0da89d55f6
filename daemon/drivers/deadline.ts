/**
 * Does `work` under a signal that is aborted when `outer` is or after `timeout` milliseconds. Nothing stays attached to
 * `outer` afterwards: it may live for months and see one of these a second, which AbortSignal.any would hold on to.
 */
export async function withDeadline<T>(
  outer: AbortSignal,
  timeout: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  const timer = setTimeout(abort, timeout)
  outer.addEventListener('abort', abort, { once: true })
  if (outer.aborted) abort()
  try {
    return await work(controller.signal)
  } finally {
    clearTimeout(timer)
    outer.removeEventListener('abort', abort)
  }
}

/** Resolves after `time` milliseconds, or when the signal is aborted. */
export const pause = (time: number, outer: AbortSignal): Promise<void> =>
  withDeadline(
    outer,
    time,
    signal =>
      new Promise(resolve => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      }),
  )
