import type { Random } from '../../protocol/index.ts'
import { addressOf, hostsOn, on } from '../netns/support.ts'
import { type Daemon, sandbox } from '../support/daemons.ts'
import { createWorld } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'

/** A fleet under fire, and what was done to it. */
export interface Fleet {
  readonly random: Random
  /** Those that are never ended, from whose growth one can tell a leak. */
  readonly steady: readonly string[]
  /** All daemons, in random order. */
  shuffled(): Daemon[]
  all(): readonly Daemon[]
  /** When a daemon was last ended and started again, by performance.now(). */
  readonly restarted: ReadonlyMap<string, number>
  restart(daemon: Daemon, how: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Cuts a random half of the hosts off from the other half: from now on nothing passes, in either direction, until `heal`. */
  part(): void
  heal(): void
  parted(): boolean
  /** Names of the events that a daemon has confirmed to have fired. */
  readonly fired: Set<string>
  close(): Promise<void>
}

/** Each daemon gets a host of its own, on one LAN of network namespaces: `cannot` of test/support/netns.ts says where there are none. */
export async function startFleet(count: number, steadyCount: number, random: Random): Promise<Fleet> {
  const world = createWorld()
  const box = await sandbox()
  const hosts = hostsOn(world, world.lan(), count)
  const daemons = await box.fleet(count, index => ({
    ...on(hosts[index]!),
    flags: ['--profile', 'lan', '--log-level', 'info'],
  }))
  const steady = daemons.slice(0, steadyCount).map(({ name }) => name)
  const restarted = new Map<string, number>()
  let parted = false
  return {
    random,
    steady,
    shuffled: () => random.shuffle(daemons),
    all: () => daemons,
    restarted,
    async restart(daemon, how) {
      daemon.kill(how)
      await daemon.exited()
      restarted.set(daemon.name, performance.now())
      daemons[daemons.indexOf(daemon)] = await daemon.restart()
    },
    part() {
      parted = true
      const order = random.shuffle([...hosts.keys()])
      const halves = [order.slice(0, count >> 1), order.slice(count >> 1)] as const
      for (const [mine, theirs] of [halves, halves.toReversed()])
        for (const index of mine!) hosts[index]!.drop(`ip saddr { ${theirs!.map(addressOf).join(', ')} }`)
    },
    heal() {
      if (parted) for (const host of hosts) host.hearAll()
      parted = false
    },
    parted: () => parted,
    fired: new Set(),
    async close() {
      await box.close()
      world.close()
    },
  }
}

interface Member {
  readonly id: string
  readonly name: string
  readonly status: string
  readonly tags: Readonly<Record<string, string>>
}

const viewOf = async (daemon: Daemon): Promise<string> => {
  const { members } = await daemon.json<{ members: Member[] }>('members')
  const lines = members.map(({ id, name, status, tags }) =>
    JSON.stringify([id, name, status, Object.entries(tags).sort()]),
  )
  return lines.sort().join('\n')
}

/** Waits until every daemon sees every daemon alive, with the same tags. Faults have to be over. */
export async function untilOneView(fleet: Fleet, seconds: number): Promise<void> {
  const count = fleet.all().length
  let differs = ''
  await eventually(
    'one view everywhere',
    async () => {
      let first: string | undefined
      for (const daemon of fleet.all()) {
        const view = await viewOf(daemon)
        first ??= view
        differs = `${daemon.name}: ${view}`
        if (view !== first || view.split('\n').filter(line => line.includes('"alive"')).length !== count) return false
      }
      return true
    },
    { seconds, everyMs: 500, seen: () => differs },
  )
}

interface EventLine {
  readonly author: string
  readonly authorName: string
  readonly seq: number
  readonly name: string
}

/** Waits until every daemon has every event that was confirmed, and checks that none has one twice. */
export async function untilAllEvents(fleet: Fleet, seconds: number): Promise<void> {
  let lacking = ''
  await eventually(
    'all events at all daemons',
    async () => {
      for (const daemon of fleet.all()) {
        const { code, stdout, stderr } = await daemon.ctl('--format', 'json', 'events')
        if (code !== 0) throw new Error(stderr)
        const events = stdout
          .split('\n')
          .filter(Boolean)
          .map(line => JSON.parse(line) as EventLine)
        if (new Set(events.map(({ author, seq }) => `${author}/${seq}`)).size !== events.length)
          throw new Error(`${daemon.name} has an event twice`)
        const names = new Set(events.map(({ name }) => name))
        lacking = `${daemon.name} lacks ${[...fleet.fired].filter(name => !names.has(name)).join(' ')}`
        if (lacking !== `${daemon.name} lacks `) return false
      }
      return true
    },
    { seconds, everyMs: 500, seen: () => lacking },
  )
}
