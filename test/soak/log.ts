const COMPLAINT = /MaxListenersExceededWarning|a failure that nobody took care of|a network event was not handled/
/** Of a warning's stack, which Node prints behind it. */
const FRAME = /^\s+at /
const MAX_LINES = 12

/** What a daemon complained of in its log that no fault from outside explains, with where it came from. */
export function complaintsIn(log: string): string[] {
  const lines = log.split('\n')
  return lines.flatMap((line, index) => {
    if (!COMPLAINT.test(line)) return []
    const stack: string[] = []
    for (const next of lines.slice(index + 1, index + MAX_LINES)) {
      if (!FRAME.test(next)) break
      stack.push(next)
    }
    return [[line.slice(0, 400), ...stack].join('\n')]
  })
}
