/**
 * Polls `probe` until it gives something other than undefined or false, and returns that. Fails after `seconds`, saying
 * what was waited for and what was last seen: the bound is there to end a broken run, never to time a good one.
 */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  { seconds = 30, everyMs = 50, seen }: { seconds?: number; everyMs?: number; seen?: () => unknown } = {},
): Promise<T> {
  const end = performance.now() + seconds * 1000
  let lastError: unknown
  for (;;) {
    try {
      const value = await probe()
      if (value !== undefined && value !== false) return value
    } catch (error) {
      lastError = error
    }
    if (performance.now() > end) {
      const saw = seen === undefined ? '' : `; last seen: ${JSON.stringify(seen())}`
      throw new Error(
        `waited ${seconds} s for ${what}${saw}${lastError === undefined ? '' : `; last error: ${lastError}`}`,
      )
    }
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
}
