import { afterAll, beforeAll, expect, test } from 'vitest'
import type { EventView } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

let box: Sandbox
let daemons: Daemon[]

beforeAll(async () => {
  box = await sandbox()
  daemons = await box.fleet(5)
}, 60_000)
afterAll(() => box?.close())

const eventsOf = async (daemon: Daemon, ...args: string[]): Promise<EventView[]> => {
  const { code, stdout, stderr } = await daemon.ctl('--format', 'json', 'events', ...args)
  if (code !== 0) throw new Error(stderr)
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as EventView)
}
const identities = (events: readonly EventView[]): string[] => events.map(({ author, seq }) => `${author}/${seq}`)
/** A daemon that has just started has its events before it knows the others by name. */
const nameless = ({ authorName: _, ...event }: EventView): Omit<EventView, 'authorName'> => event
const allHave = (count: number): Promise<unknown> =>
  eventually(`every daemon to have ${count} events`, async () => {
    for (const daemon of daemons) if ((await eventsOf(daemon)).length !== count) return false
    return true
  })
const fire = async (daemon: Daemon, ...args: string[]): Promise<void> => {
  const { code, stderr } = await daemon.ctl('event', ...args)
  if (code !== 0) throw new Error(stderr)
}

test('events of all come to all, once each, in the order of each author', async () => {
  await Promise.all(
    daemons.map(async (daemon, index) => {
      for (let count = 0; count < 4; count++) await fire(daemon, `from-${index}`, `payload ${count}`)
    }),
  )
  await allHave(20)
  for (const daemon of daemons) {
    const events = await eventsOf(daemon)
    expect(new Set(identities(events)).size).toBe(20)
    for (const author of new Set(events.map(event => event.author)))
      expect(events.filter(event => event.author === author).map(({ seq }) => seq)).toEqual([1, 2, 3, 4])
  }
}, 60_000)

test('a daemon killed with -9 has after its restart what it had, each once, and what was fired meanwhile', async () => {
  const victim = daemons[2]!
  const before = await eventsOf(victim)
  victim.kill('SIGKILL')
  await victim.exited()
  for (let count = 0; count < 5; count++) await fire(daemons[0]!, 'meanwhile', String(count))
  daemons[2] = await victim.restart()
  expect((await eventsOf(daemons[2])).slice(0, before.length).map(nameless)).toEqual(before.map(nameless))
  await allHave(25)
  const after = await eventsOf(daemons[2])
  expect(new Set(identities(after)).size).toBe(25)
  expect(await eventsOf(daemons[2], '--since', String(before.at(-1)!.cursor))).toEqual(after.slice(before.length))
  await fire(daemons[2], 'back')
  await allHave(26)
  const [last] = (await eventsOf(daemons[0]!)).slice(-1)
  expect(last).toMatchObject({ name: 'back', seq: 5, authorName: victim.name })
}, 60_000)

test('a daemon that joins later can replay what was before it, and is told of nothing twice', async () => {
  const { token } = await daemons[0]!.json<{ token: string }>('invite')
  daemons.push(await box.start({ name: 'late', join: [token] }))
  await allHave(26)
  await fire(daemons[5]!, 'hello', 'x'.repeat(60_000))
  await allHave(27)
  for (const daemon of daemons) expect(new Set(identities(await eventsOf(daemon))).size).toBe(27)
}, 60_000)
