import fastStringWidth from 'fast-string-width'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TREE } from '../../cli/program.ts'
import { FLEETCTL, fleetctl } from '../support/daemons.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { eventually } from '../support/wait.ts'
import { type BusyFleet, busyFleet, GROUP, NEWER } from './busy-fleet.ts'

// What an operator reads at night: every command that shows something, beside real daemons, in terminals of 80 and 200 columns, with
// NO_COLOR, in a pipe and as JSON. `npm run test:terminal`.

let fleet: BusyFleet
beforeAll(async () => {
  fleet = await busyFleet()
}, 180_000)
afterAll(() => fleet?.box.close())

const ESCAPE = '\u001b'

interface Reading {
  readonly args: () => readonly string[]
  /** What its JSON has at least; of a command that gives one value a line, what each has. */
  readonly json: readonly string[]
  /** Its text is a table. */
  readonly table?: true
  /** The terminal has a view of its own, that says more than the line in a pipe. */
  readonly view?: true
  /** In a narrow terminal its head names fewer things. */
  readonly shortHead?: true
  /** Where what it found is not all well. */
  readonly code?: number
}

const of =
  (...args: string[]) =>
  (): readonly string[] =>
    args
const group = ['--group', GROUP]
const MEMBER =
  'members[0].id name addrs status class zone group tags epoch layers[0].layer layers[0].version layers[0].digest layers[0].state layers[0].progress health taint rttMs'
    .split(' ')
    .map((field, at) => (at === 0 ? field : `members[0].${field}`))
const STATUS =
  'group generation phase image target total ok failed pending permits[0].token permits[0].node permits[0].since waves reason'.split(
    ' ',
  )

/** Every command that shows something and changes nothing, by its name. */
const READING: Readonly<Record<string, Reading>> = {
  members: { args: of('members'), json: MEMBER, table: true },
  services: { args: of('services'), json: ['services[0].service', 'services[0].health'], table: true },
  rtt: { args: () => ['rtt', fleet.fixed], json: ['rttMs', 'measured'] },
  info: { args: of('info'), json: ['id', 'name', 'fleet', 'addresses', 'version'] },
  // One host has failed.
  doctor: { args: of('doctor'), json: ['problems', 'warnings', 'findings[0].run', 'good[0].check'], code: 1 },
  version: { args: of('version'), json: ['fleetctl', 'fleetd'] },
  tags: { args: of('tags'), json: ['tags.rack'] },
  events: { args: of('events'), json: ['cursor', 'ltime', 'name', 'payload', 'authorName'], shortHead: true },
  query: { args: of('query', '_ping', '--timeout', '1s'), json: ['type'] },
  reachability: { args: of('reachability', '--timeout', '1s'), json: ['expected', 'reached', 'missing'] },
  divergence: { args: of('divergence'), json: ['layers[0].stragglers', 'unknown'] },
  drift: { args: () => ['drift', fleet.fixed], json: ['layers[0].marks[0].reason'], code: 1 },
  why: { args: () => ['why', fleet.fixed], json: ['causes[0].steps[0].text'] },
  'image list': { args: of('image', 'list'), json: ['images[0].digest', 'images[0].name'], table: true },
  'image inspect': { args: of('image', 'inspect', NEWER), json: ['manifest.labels.team', 'digest'] },
  'image peers': { args: of('image', 'peers', NEWER), json: ['peers[0].name'], table: true },
  'image verify': { args: of('image', 'verify', NEWER), json: ['chunks', 'damaged'] },
  'image gc': { args: of('image', 'gc', '--dry-run'), json: ['used', 'quota', 'free'] },
  'rollout status': { args: of('rollout', 'status', ...group), json: STATUS, view: true },
  'rollout list': { args: of('rollout', 'list'), json: STATUS.map(field => `rollouts[0].${field}`), table: true },
  'rollout history': {
    args: of('rollout', 'history', ...group),
    json: ['generations[0].phase', 'generations[0].reason'],
    table: true,
  },
  'rollout explain': { args: () => ['rollout', 'explain', fleet.fixed], json: ['reason'] },
  'ledger show': { args: of('ledger', 'show', GROUP), json: ['voters[0].name', 'epoch', 'permits[0].token'] },
  'hotfix list': { args: of('hotfix', 'list'), json: ['hotfixes[0].mark.reason'], table: true },
  'evidence list': { args: of('evidence', 'list'), json: ['evidence[0].digest'], table: true },
  'evidence get': { args: () => ['evidence', 'get', fleet.evidence], json: ['digest', 'evidence.reason'] },
  'audit list': { args: of('audit', 'list'), json: ['entries[0].seq', 'entries[0].text'], table: true },
  'audit verify': { args: of('audit', 'verify'), json: ['logs[0].entries', 'logs[0].problems'] },
  'policy show': { args: of('policy', 'show'), json: ['fleet', 'policy.version'] },
  'key show': { args: of('key', 'show'), json: ['publicKey'] },
}

/** Those that change something, or print what a program reads or somebody copies. */
const OTHERS =
  'init invite join leave revoke force-leave event monitor taint completion|image build fetch export import pin unpin rm|rollout start approve pause resume promote abort undo|node write-off|ledger recover|hotfix start extend clear|audit export|key new'
    .split('|')
    .flatMap((words, at) => {
      const [first, ...rest] = words.split(' ')
      return at === 0 ? [first!, ...rest] : rest.map(name => `${first} ${name}`)
    })

test('no command is forgotten here', () => {
  const first = (usage: string): string => usage.split(' ')[0]!
  const all = [
    ...TREE.commands.map(({ usage }) => first(usage)),
    ...TREE.groups.flatMap(({ name, commands }) => commands.map(({ usage }) => `${name} ${first(usage)}`)),
  ]
  expect([...Object.keys(READING), ...OTHERS].sort()).toEqual(all.sort())
})

const connection = (): string[] => ['--api', `unix:${fleet.first.socket}`, '--key', fleet.box.operatorKey]
const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`

function open(args: readonly string[], columns: number, env: NodeJS.ProcessEnv = {}): Pty {
  // Progress and hints go to standard error, and are not what is looked at here.
  return openPty(`${[process.execPath, FLEETCTL, ...connection(), ...args].map(quoted).join(' ')} 2>/dev/null`, {
    columns,
    env: { HOME: fleet.box.dir, ...env },
  })
}

interface Shown {
  readonly code: number | null
  readonly raw: string
  readonly lines: string[]
}

async function inTerminal(args: readonly string[], columns: number, env: NodeJS.ProcessEnv = {}): Promise<Shown> {
  const pty = open(args, columns, env)
  const code = await pty.ended()
  return { code, raw: pty.raw(), lines: linesOf(pty) }
}

const linesOf = (pty: Pty): string[] => pty.text().replaceAll('\r', '').trimEnd().split('\n')

/** One word that is wider by itself is left to the terminal: a command or a digest is copied whole. */
const tooWide = (lines: readonly string[], columns: number): string[] =>
  lines.filter(line => fastStringWidth(line) > columns && /\S\s+\S/.test(line) && !isCommand(line))
const isCommand = (line: string): boolean => /^ +(fleetctl|systemctl|ss|on \S+:) /.test(line)

/** Between any two heads of a table a gutter of two blanks goes through all its rows. */
function unaligned(lines: readonly string[]): string[] {
  const [head = '', ...others] = lines
  const rows = others.filter(line => !/^( {6}[a-z]| {8}\S)/.test(line))
  const heads = [...head.matchAll(/\S+(?: \S+)*/g)]
  return heads.slice(1).flatMap((next, at) => {
    const [from, to] = [heads[at]!.index + heads[at]![0].length, next.index]
    for (let place = from; place + 2 <= to; place++)
      if (rows.every(row => row.slice(place, place + 2).trim() === '')) return []
    return [`no gutter between ${heads[at]![0]} and ${next[0]}`]
  })
}

/** What differs from one second to the next. */
const PASSING = /\d (ms|[KMGT]iB)|for \d|within|\d+ms$|\d[sm]$|signed head|open link|last at|entries/
/** The head of a column is written small where it stands below its row. */
const squeezed = (text: string): string => text.replaceAll(/\s/g, '').toLowerCase()
/** The parts of what a pipe was given that the terminal does not show in full. */
const lost = (piped: string, lines: readonly string[]): string[] =>
  piped
    .split('\n')
    .flatMap(line => line.trim().split(/ {2,}/))
    .filter(part => part !== '-' && !PASSING.test(part) && !squeezed(lines.join('')).includes(squeezed(part)))

function at(value: unknown, path: string): unknown {
  return path
    .split(/[.[\]]+/)
    .filter(Boolean)
    .reduce<unknown>((from, key) => (from as Record<string, unknown> | undefined)?.[key], value)
}

describe.each(Object.entries(READING))('fleetctl %s', (_, { args, json, table, view, shortHead, code = 0 }) => {
  test('in a pipe there are no escape codes, and nothing is cut', async () => {
    const piped = await fleetctl([...connection(), ...args()])
    expect(piped.code, piped.stderr).toBe(code)
    expect(piped.stdout).not.toContain(ESCAPE)
    expect(piped.stdout).not.toContain('…')
    if (table === true) expect(unaligned(piped.stdout.trimEnd().split('\n'))).toEqual([])
  })

  test.each([80, 200])('it fits a terminal of %i columns, and says all that it says in a pipe', async columns => {
    const piped = await fleetctl([...connection(), ...args()])
    const shown = await inTerminal(args(), columns)
    const said = shown.lines.join('\n')
    expect(shown.code, said).toBe(code)
    expect(tooWide(shown.lines, columns), said).toEqual([])
    expect(said).not.toContain('…')
    if (view !== true)
      expect(lost(shortHead === true ? piped.stdout.replace(/^.*\n/, '') : piped.stdout, shown.lines), said).toEqual([])
    if (table === true) expect(unaligned(shown.lines), said).toEqual([])
  })

  test('with NO_COLOR a terminal gets no escape codes', async () => {
    expect((await inTerminal(args(), 80, { NO_COLOR: '1' })).raw).not.toContain(ESCAPE)
    expect((await inTerminal(['--no-color', ...args()], 80)).raw).not.toContain(ESCAPE)
  })

  test('as JSON it has the fields that scripts rely on, in a terminal too', async () => {
    const piped = await fleetctl([...connection(), '--format', 'json', ...args()])
    const values = piped.stdout
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as unknown)
    for (const field of json) expect(at(values[0], field), `${field} of ${piped.stdout}`).toBeDefined()
    const shown = await inTerminal(['--format', 'json', ...args()], 80)
    expect(shown.raw).not.toContain(ESCAPE)
    for (const line of shown.lines) expect(() => JSON.parse(line)).not.toThrow()
  })
})

test('what is alive is green and what failed is red, in a terminal with colours', async () => {
  const { raw } = await inTerminal(['members'], 200)
  expect(raw).toContain(`${ESCAPE}[32malive${ESCAPE}[39m`)
  expect(raw).toContain(`${ESCAPE}[31mfailed${ESCAPE}[39m`)
})

describe('what is followed', () => {
  test.each([80, 200])(
    'members --watch, monitor and a live rollout fit %i columns, and end with Ctrl-C',
    async columns => {
      for (const [args, seen] of [
        [['members', '--watch'], /gateway-gdansk-wisloujscie-04/],
        [['rollout', 'status', ...group, '--watch'], /reason: prices/],
        [['monitor'], /event .*prices/s],
      ] as const) {
        const pty = open(args, columns)
        try {
          await eventually(
            `${args.join(' ')} to show something`,
            async () => {
              if (args[0] === 'monitor') await fleet.first.ctl('event', 'prices', 'of the new season, '.repeat(12))
              return seen.test(pty.text())
            },
            { seconds: 30, everyMs: 200 },
          )
          pty.type('\x03')
          expect(await pty.ended()).toBe(130)
          expect(tooWide(linesOf(pty), columns), args.join(' ')).toEqual([])
        } finally {
          pty.close()
        }
      }
    },
  )
})
