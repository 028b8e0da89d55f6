import pino, { type Logger } from 'pino'

export type LogFormat = 'json' | 'pretty'

/**
 * Gives what changes the level of a log and of all logs that are made from it from here on: pino copies the level into
 * each child. For children that live as long as the daemon; it holds on to them.
 */
export function levelSetter(log: Logger): (level: string) => void {
  const children: Logger[] = []
  log.onChild = child => void children.push(child)
  return level => {
    for (const each of [log, ...children]) each.level = level
  }
}

/**
 * The daemon's log, to stderr. Pretty lines are for a person at a terminal; JSON, one object a line with `level` as a word
 * and `time` in RFC 3339, is for whatever collects them. Lines are written before the call returns, so that a crash shows
 * what led to it; nothing runs in a thread of its own.
 */
export async function createLog(level: string, format: LogFormat): Promise<Logger> {
  if (format === 'json')
    return pino(
      {
        level,
        base: null,
        timestamp: pino.stdTimeFunctions.isoTime,
        formatters: { level: label => ({ level: label }) },
      },
      pino.destination({ dest: 2, sync: true }),
    )
  // Loaded only where somebody reads along.
  const { default: pretty } = await import('pino-pretty')
  return pino(
    { level, base: null },
    pretty({
      colorize: process.stderr.isTTY,
      translateTime: 'SYS:HH:MM:ss.l',
      singleLine: true,
      destination: 2,
      sync: true,
    }),
  )
}
