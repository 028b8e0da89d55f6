import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { QUEUE_LIMIT } from '../../../daemon/handlers/handler.ts'
import { createHandlers, type Handlers, type HandlersConfig } from '../../../daemon/handlers/index.ts'
import { parseHandlerSpec } from '../../../daemon/handlers/spec.ts'
import { createHappenings, type Happenings } from '../../../daemon/happenings.ts'
import type { Millis, NodeId } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { eventLog, member, query, userEvent } from './support.ts'

let dir: string
let happenings: Happenings
let files: Map<string, Uint8Array>
let warnings: string[]
const running: Handlers[] = []

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-handlers-'))
  happenings = createHappenings(error => {
    throw error
  })
  files = new Map()
  warnings = []
})
afterEach(async () => {
  writeFileSync(join(dir, 'go'), '')
  await Promise.all(running.splice(0).map(handlers => handlers.stop()))
  rmSync(dir, { recursive: true, force: true })
})

const note = (_: unknown, message = ''): void => void warnings.push(message)
const log = { debug: () => undefined, warn: note, error: note } as unknown as Logger

const configOf = (specs: string[], more: Partial<HandlersConfig> = {}): HandlersConfig => ({
  eventHandler: specs.map(parseHandlerSpec),
  handlerTimeout: 20_000,
  handlerConcurrency: 4,
  ...more,
})
const start = async (
  specs: string[],
  more: Partial<HandlersConfig> = {},
  broken?: () => boolean,
): Promise<Handlers> => {
  const handlers = await createHandlers({
    config: configOf(specs, more),
    happenings,
    store: {
      readFile: async name => files.get(name),
      async writeDurably(name, bytes) {
        if (broken?.() === true) throw new Error('the disk is full')
        files.set(name, bytes)
      },
    },
    self: () => ({ id: 'me' as NodeId, name: 'me', class: 'cloud', group: 'web', zone: 'z1', tags: {} }),
    nameOf: () => undefined,
    now: () => Date.now() as Millis,
    log,
  })
  running.push(handlers)
  return handlers
}
const linesOf = (name: string): string[] => {
  const path = join(dir, name)
  // The shell makes the file before the script writes to it.
  const text = existsSync(path) ? readFileSync(path, 'utf8').trimEnd() : ''
  return text === '' ? [] : text.split('\n')
}
const until = (name: string, lines: string[]): Promise<unknown> =>
  eventually(`${name} to hold ${lines}`, () => linesOf(name).length >= lines.length, {
    seen: () => linesOf(name),
  }).then(() => expect(linesOf(name)).toEqual(lines))
/** A script that waits until the test says `go`. */
const held = (): string => `while [ ! -e ${dir}/go ]; do sleep 0.02; done`

describe('queries', () => {
  it('are answered with what the script prints, and with nothing when it fails or prints nothing', async () => {
    const handlers = await start([
      'query:up=cat; echo "$SERF_QUERY_NAME"',
      'query:bad=echo x; exit 1',
      'query:mute=true',
    ])
    const queries = [query('up', 'how'), query('bad'), query('mute'), query('_up'), query('other')]
    for (const each of queries) happenings.tell({ type: 'query', query: each })
    await eventually('three runs to have ended', () => handlers.stats().started === 3 && handlers.stats().running === 0)
    expect(queries.map(({ responses }) => responses.map(String))).toEqual([
      [String(Buffer.from('how\nup\n'))],
      ...[[], [], [], []],
    ])
    expect(handlers.stats()).toMatchObject({ failed: 1, timedOut: 0, dropped: 0 })
    expect(warnings).toEqual(['an event handler failed: exit 1'])
  })

  it('whose time is over are not run', async () => {
    const handlers = await start([`query=echo ran >> ${dir}/ran`])
    happenings.tell({ type: 'query', query: query('late', '', Date.now() - 1) })
    await eventually('it to be dropped', () => handlers.stats().dropped === 1)
    expect(linesOf('ran')).toEqual([])
  })
})

describe('a slow script', () => {
  it('delays no other handler, and its own runs keep their order', async () => {
    await start([`query:slow=${held()}; cat >> ${dir}/slow`, `query=cat >> ${dir}/all`])
    const names = ['1', '2', '3', '4', '5']
    for (const name of names) happenings.tell({ type: 'query', query: query('slow', name) })
    await until('all', names)
    expect(linesOf('slow')).toEqual([])
    writeFileSync(join(dir, 'go'), '')
    await until('slow', names)
  })

  it('is killed when its time is over, and the next run follows', async () => {
    const handlers = await start([`query=read x; echo $x >> ${dir}/out; [ $x = 2 ] || sleep 600`], {
      handlerTimeout: 500,
    })
    for (const name of ['1', '2']) happenings.tell({ type: 'query', query: query('q', name) })
    await until('out', ['1', '2'])
    expect(handlers.stats()).toMatchObject({ started: 2, timedOut: 1, failed: 1 })
  })

  it('has the oldest of what waits for it dropped, which is said once and counted', async () => {
    const handlers = await start([`query=${held()}; cat >> ${dir}/out`], { handlerConcurrency: 1 })
    happenings.tell({ type: 'query', query: query('q', 'first') })
    await eventually('the first to run', () => handlers.stats().running === 1)
    for (let i = 0; i < QUEUE_LIMIT + 3; i++) happenings.tell({ type: 'query', query: query('q', `${i}`) })
    expect(handlers.stats()).toMatchObject({ queued: QUEUE_LIMIT, dropped: 3 })
    expect(warnings).toEqual([expect.stringMatching(/too slow: 256 events wait for it/)])
    writeFileSync(join(dir, 'go'), '')
    await eventually('two runs', () => linesOf('out').length >= 2)
    expect(linesOf('out').slice(0, 2)).toEqual(['first', '3'])
  })

  it('runs beside a few others at most', async () => {
    const specs = ['a', 'b', 'c', 'd'].map(name => `query=echo ${name} >> ${dir}/begun; ${held()}`)
    const handlers = await start(specs, { handlerConcurrency: 2 })
    happenings.tell({ type: 'query', query: query('q') })
    await eventually('two to run', () => linesOf('begun').length === 2)
    expect(handlers.stats().running).toBe(2)
    writeFileSync(join(dir, 'go'), '')
    await until('begun', ['a', 'b', 'c', 'd'])
  })
})

describe('member events', () => {
  it('come for many members at once, and a join stays a join when tags follow it', async () => {
    await start([`member-join,member-failed=cat > ${dir}/x; echo "$FLEET_EVENT $FLEET_MEMBERS" >> ${dir}/out`])
    for (const name of ['a', 'b']) happenings.tell({ type: 'members', event: 'join', members: [member(name)] })
    happenings.tell({ type: 'members', event: 'update', members: [member('b', { tags: { k: 'v' } })] })
    happenings.tell({ type: 'members', event: 'failed', members: [member('c')] })
    await until('out', ['member-join 2', 'member-failed 1'])
  })
})

describe('user events', () => {
  it('are started once each and in order, also across restarts and for a handler that was busy', async () => {
    const events = eventLog(() => happenings)
    const spec = `user=cat >> ${dir}/out`
    const first = await start([spec])
    first.follow(events)
    events.fire(userEvent(1, 'a', '1'))
    events.fire(userEvent(2, '_internal', 'no'))
    events.fire(userEvent(3, 'b', '3'))
    await until('out', ['1', '3'])
    await first.stop()
    events.fire(userEvent(4, 'a', '4'))
    const second = await start([spec, `user:a=cat >> ${dir}/new`])
    second.follow(events)
    await until('out', ['1', '3', '4'])
    events.fire(userEvent(5, 'a', '5'))
    await until('out', ['1', '3', '4', '5'])
    // A new handler begins with what happens from then on.
    await until('new', ['5'])
  })

  it('that were fired to be coalesced and come together are one run, with the last', async () => {
    const events = eventLog(() => happenings)
    const handlers = await start([`user=cat >> ${dir}/out`])
    handlers.follow(events)
    for (let i = 1; i <= 5; i++) events.fire(userEvent(i, 'load', `${i}`, true))
    events.fire(userEvent(6, 'now', 'at once'))
    await until('out', ['5', 'at once'])
  })

  it('that are kept no more are missed, which is said, and those behind them are run', async () => {
    const events = eventLog(() => happenings)
    const spec = `user=cat >> ${dir}/out`
    const first = await start([spec])
    first.follow(events)
    events.fire(userEvent(1, 'a', '1'))
    await until('out', ['1'])
    await first.stop()
    for (const cursor of [2, 3, 4]) events.fire(userEvent(cursor, 'a', `${cursor}`))
    events.forget()
    const second = await start([spec])
    second.follow(events)
    await until('out', ['1', '4'])
    expect(warnings).toEqual([expect.stringMatching(/missed user events and goes on behind 3: they are kept no more/)])
  })

  it('are not run while it cannot be written down that they were, and then are', async () => {
    const events = eventLog(() => happenings)
    let broken = true
    const handlers = await start([`user=cat >> ${dir}/out`], {}, () => broken)
    handlers.follow(events)
    events.fire(userEvent(1, 'a', '1'))
    await eventually('the failure to be logged', () => warnings.some(text => /cannot be handled now/.test(text)))
    expect(linesOf('out')).toEqual([])
    broken = false
    await until('out', ['1'])
  })
})

it('lets a handler that stays go on when others are taken away and added', async () => {
  const kept = `query=${held()}; cat >> ${dir}/kept`
  const handlers = await start([kept, `query=cat >> ${dir}/gone`])
  happenings.tell({ type: 'query', query: query('q', '1') })
  await until('gone', ['1'])
  happenings.tell({ type: 'query', query: query('q', '2') })
  await until('gone', ['1', '2'])
  handlers.configure(configOf([kept, `query=cat >> ${dir}/added`]))
  happenings.tell({ type: 'query', query: query('q', '3') })
  await until('added', ['3'])
  writeFileSync(join(dir, 'go'), '')
  await until('kept', ['1', '2', '3'])
  expect(linesOf('gone')).toEqual(['1', '2'])
})
