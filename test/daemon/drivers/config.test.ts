import { describe, expect, it } from 'vitest'
import { layerSchema } from '../../../daemon/drivers/index.ts'
import { parse } from './support.ts'

const base = { driver: 'process', command: ['node', 'server.js'] }
const problem = (more: Record<string, unknown>): string => {
  const parsed = layerSchema.safeParse({ ...base, ...more })
  if (parsed.success) throw new Error('it was accepted')
  return parsed.error.issues.map(issue => `${issue.path.join('.')}: ${issue.message}`).join('\n')
}

describe("a layer's configuration", () => {
  it('is taken as the documentation shows it', () => {
    expect(
      parse({
        driver: 'process',
        command: ['node', 'server.js'],
        env: { PORT: '8080' },
        hooks: { ready: './ready.sh', drain: './drain.sh' },
        checks: [
          { name: 'http', http: 'http://127.0.0.1:8080/healthz', interval: '1s', timeout: '500ms', failures: 3 },
        ],
        keep: 2,
      }),
    ).toEqual({
      driver: 'process',
      command: ['node', 'server.js'],
      env: { PORT: '8080' },
      hooks: { ready: './ready.sh', drain: './drain.sh', timeout: 60_000 },
      checks: [
        {
          name: 'http',
          http: 'http://127.0.0.1:8080/healthz',
          interval: 1_000,
          timeout: 500,
          failures: 3,
          successes: 1,
        },
      ],
      keep: 2,
      drift: { every: 3_600_000, ignore: [] },
      stopTimeout: 10_000,
    })
  })

  it('needs no more than a driver and a command', () => {
    expect(parse(base)).toMatchObject({ keep: 1, checks: [], env: {}, stopTimeout: 10_000 })
  })

  it('says what the program may write to in its slot, and how old that may become', () => {
    const given = { ...base, drift: { every: '15m', ignore: ['var/cache'] }, maxAge: '30d' }
    expect(parse(given)).toMatchObject({ drift: { every: 900_000, ignore: ['var/cache'] }, maxAge: 30 * 86_400_000 })
    for (const ignore of ['/etc', '../other', 'a//b', '.'])
      expect(() => parse({ ...base, drift: { ignore: [ignore] } })).toThrow()
    expect(() => parse({ ...base, maxAge: '3y' })).toThrow()
  })

  it.each([
    ['an unknown key', { restart: 'always' }, ': Unrecognized key: "restart"'],
    ['an unknown key of the hooks', { hooks: { redy: 'x' } }, 'hooks: Unrecognized key: "redy"'],
    [
      'an unknown key of a check',
      { checks: [{ name: 'a', tcp: 'h:1', every: '1s' }] },
      'checks.0: Unrecognized key: "every"',
    ],
    ['another driver', { driver: 'docker' }, 'driver: expected one of process, '],
    ['an empty command', { command: [] }, 'command: '],
    ['a check of no kind', { checks: [{ name: 'a' }] }, 'checks.0: a check has one of http, tcp and exec'],
    ['a check of two kinds', { checks: [{ name: 'a', tcp: 'h:1', exec: 'x' }] }, 'a check has one of'],
    [
      'two checks of one name',
      { checks: [1, 2].map(() => ({ name: 'a', exec: 'x' })) },
      'two checks have the same name',
    ],
    ['a URL that is not http', { checks: [{ name: 'a', http: 'ftp://h/' }] }, 'checks.0.http: '],
    ['a target without port', { checks: [{ name: 'a', tcp: 'localhost' }] }, 'checks.0.tcp: expected HOST:PORT'],
    ['a port that is none', { checks: [{ name: 'a', tcp: 'h:65536' }] }, 'checks.0.tcp: expected HOST:PORT'],
    ['a bare number as time', { stopTimeout: '10' }, 'stopTimeout: expected a length of time'],
    ['a time of nothing', { stopTimeout: '0s' }, 'stopTimeout: expected a length of time from 10ms to 24h'],
    ['a time past all sense', { stopTimeout: '25h' }, 'stopTimeout: expected a length of time from 10ms to 24h'],
    ['no slot to go back to', { keep: 0 }, 'keep: '],
    ['more slots than there are names', { keep: 9 }, 'keep: '],
    ['a NUL in the command', { command: ['a\0b'] }, 'command.0: expected text without NUL'],
    ['a number as a variable', { env: { PORT: 8080 } }, 'env.PORT: Invalid input: expected string'],
  ])('is refused with %s', (_, more, message) => {
    expect(problem(more)).toContain(message)
  })
})
