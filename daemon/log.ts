import pino, { type Logger } from 'pino'
import { type LogLevel, type Millis, millis } from '../protocol/index.ts'

export type LogFormat = 'json' | 'pretty'
export type { LogLevel }

/** One line of the log as a value. */
export interface LogLine {
  readonly at: Millis
  readonly level: LogLevel
  readonly message: string
  /** What was logged along: layer, node and the like. */
  readonly fields: Readonly<Record<string, unknown>>
}

/** Lets others read the log along, at a level of their own, whatever goes to stderr. */
export interface LogTap {
  /** Tells every line at this level and above, at once; gives back what ends it. What the listener itself logs it is not told. */
  listen(level: LogLevel, listener: (line: LogLine) => void): () => void
}

/**
 * The daemon's log, to stderr, and the tap on it. Pretty lines are for a person at a terminal; JSON, one object a line with `level` as a word
 * and `time` in RFC 3339, is for whatever collects them. Lines are written before the call returns, so that a crash shows
 * what led to it; nothing runs in a thread of its own.
 */
export async function createLog(
  level: string,
  format: LogFormat,
): Promise<{ log: Logger; tap: LogTap; setLevel: (level: string) => void }> {
  const tapped = createTap(level, await destinationOf(format))
  const log = pino(
    {
      level,
      base: null,
      onChild: tapped.follow,
      ...(format === 'json'
        ? { timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label: string) => ({ level: label }) } }
        : {}),
    },
    tapped.stream,
  )
  tapped.follow(log)
  return { log, tap: tapped, setLevel: tapped.setLevel }
}

type Write = { write(line: string): unknown }

async function destinationOf(format: LogFormat): Promise<Write> {
  if (format === 'json') return pino.destination({ dest: 2, sync: true })
  // Loaded only where somebody reads along.
  const { default: pretty } = await import('pino-pretty')
  return pretty({
    colorize: process.stderr.isTTY,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
    destination: 2,
    sync: true,
  })
}

/**
 * Stands between the loggers and where lines go. A logger throws away what is below its level before it makes a line of it: so the level
 * of all of them is the lowest that anybody wants just now, and each gets what it asked for.
 */
function createTap(own: string, destination: Write) {
  const listeners = new Set<{ readonly value: number; readonly listener: (line: LogLine) => void }>()
  const loggers: WeakRef<Logger>[] = []
  let ownValue = rankOf(own)
  let telling = false

  const lowest = (): string => {
    const value = Math.min(ownValue, ...[...listeners].map(each => each.value))
    return pino.levels.labels[value] ?? 'silent'
  }
  const setLevels = (): void => {
    for (const reference of loggers) {
      const logger = reference.deref()
      if (logger !== undefined) logger.level = lowest()
    }
  }

  const stream = {
    // Asks pino to say of each line what it is (pino docs, "Metadata").
    [Symbol.for('pino.metadata')]: true,
    lastLevel: 0,
    write(text: string): void {
      const value = stream.lastLevel
      if (value >= ownValue) destination.write(text)
      if (telling || ![...listeners].some(each => value >= each.value)) return
      telling = true
      try {
        const line = parse(text, value)
        for (const each of listeners) if (value >= each.value) each.listener(line)
      } finally {
        telling = false
      }
    },
  }

  return {
    stream,
    follow(logger: Logger): void {
      loggers.push(new WeakRef(logger))
      logger.level = lowest()
    },
    /** From here on lines of this level and above go to the destination. */
    setLevel(level: string): void {
      ownValue = rankOf(level)
      setLevels()
    },
    listen(level: LogLevel, listener: (line: LogLine) => void): () => void {
      const entry = { value: rankOf(level), listener }
      listeners.add(entry)
      setLevels()
      return () => {
        listeners.delete(entry)
        setLevels()
      }
    },
  }
}

const rankOf = (level: string): number => pino.levels.values[level] ?? Number.POSITIVE_INFINITY

function parse(text: string, value: number): LogLine {
  const { time, msg, level: _, ...fields } = JSON.parse(text) as Record<string, unknown>
  return {
    at: millis(new Date(time as string | number).getTime()),
    level: pino.levels.labels[value] as LogLevel,
    message: typeof msg === 'string' ? msg : '',
    fields,
  }
}
