/**
 * A signal that is aborted after so many milliseconds, with a TimeoutError, or with one of the others. In place of
 * `AbortSignal.any([signal, AbortSignal.timeout(time)])`: Node.js 20 holds what a signal is made of weakly, the timer of one that nobody else
 * holds goes with the next collection of garbage, and what was to be bounded waits for ever (nodejs/node#54614 and its like).
 */
export function timeLimit(time: number, ...others: readonly AbortSignal[]): AbortSignal {
  const late = new AbortController()
  // The timer holds the controller, and that its signal.
  setTimeout(
    () => late.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')),
    time,
  ).unref()
  return others.length === 0 ? late.signal : AbortSignal.any([late.signal, ...others])
}
