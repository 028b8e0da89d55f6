import { expect, test } from 'vitest'
import { createLog, type LogLine } from '../../daemon/log.ts'

// The daemon's own level is `error`, so that these lines do not fill the test's stderr.
const logged = async () => {
  const { log, tap } = await createLog('error', 'json')
  const lines: LogLine[] = []
  return { log, tap, lines, listener: (line: LogLine) => void lines.push(line) }
}

test('who listens gets lines at its own level, of loggers made before and after, until it ends', async () => {
  const { log, tap, lines, listener } = await logged()
  const before = log.child({ layer: 'app' })
  log.info('nobody listens')
  const end = tap.listen('debug', listener)
  before.debug({ turn: 1 }, 'a detail')
  log.child({ layer: 'web' }).info('more')
  log.trace('below its level')
  end()
  log.info('nobody listens any more')
  before.debug('nor here')
  expect(lines).toMatchObject([
    { level: 'debug', message: 'a detail', fields: { layer: 'app', turn: 1 } },
    { level: 'info', message: 'more', fields: { layer: 'web' } },
  ])
  expect(Math.abs(lines[0]!.at - Date.now())).toBeLessThan(60_000)
  expect(log.level).toBe('error')
  expect(before.level).toBe('error')
})

test('two listeners each get their own level', async () => {
  const { log, tap, lines, listener } = await logged()
  const other: LogLine[] = []
  tap.listen('trace', listener)
  tap.listen('warn', line => void other.push(line))
  log.trace('t')
  log.warn('w')
  expect(lines.map(({ message }) => message)).toEqual(['t', 'w'])
  expect(other.map(({ message }) => message)).toEqual(['w'])
})

test('a listener that logs does not hear itself', async () => {
  const { log, tap, lines, listener } = await logged()
  tap.listen('info', line => {
    listener(line)
    log.info('an echo')
  })
  log.info('once')
  expect(lines.map(({ message }) => message)).toEqual(['once'])
})
