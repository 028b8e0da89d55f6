import pino, { type Logger } from 'pino'

export type LogFormat = 'json' | 'pretty'

/** The daemon's log, to stderr. Pretty lines are for a person at a terminal, JSON for whatever collects them. */
export async function createLog(level: string, format: LogFormat): Promise<Logger> {
  const options = { level, base: null }
  const stderr = pino.destination({ dest: 2, sync: true })
  if (format === 'json') return pino(options, stderr)
  const { default: pretty } = await import('pino-pretty')
  return pino(
    options,
    pretty({
      colorize: process.stderr.isTTY,
      translateTime: 'SYS:HH:MM:ss.l',
      ignore: 'layer,event',
      destination: 2,
      sync: true,
    }),
  )
}
