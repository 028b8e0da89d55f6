import type { Random } from '../../protocol/index.ts'
import { addressOf, hostsOn, on } from '../netns/support.ts'
import { type Daemon, sandbox } from '../support/daemons.ts'
import { createWorld } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { complaintsIn } from './log.ts'

/** A fleet under fire, and what was done to it. */
export interface Fleet {
  readonly random: Random
  /** From now on the first `count` daemons are ended no more, so that one can see how they grow. */
  spare(count: number): void
  /** One that may be ended, at random. */
  mortal(): Daemon | undefined
  /** All daemons, in random order. */
  shuffled(): Daemon[]
  all(): readonly Daemon[]
  /** When the process of a daemon was started, by performance.now(). */
  readonly started: ReadonlyMap<string, number>
  restart(daemon: Daemon, how: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Cuts a random half of the hosts off from the other half: from now on nothing passes, in either direction, until `heal`. */
  part(): void
  heal(): void
  parted(): boolean
  /** What the daemons complained of in their logs so far, those of processes that were ended too. */
  complaints(): string[]
  /** Names of the events that a daemon has confirmed to have fired. */
  readonly fired: Set<string>
  close(): Promise<void>
}

/** Each daemon gets a host of its own, on one LAN of network namespaces: `cannot` of test/support/netns.ts says where there are none. */
export async function startFleet(count: number, random: Random): Promise<Fleet> {
  const world = createWorld()
  const box = await sandbox()
  const hosts = hostsOn(world, world.lan(), count)
  const daemons = await box.fleet(count, index => ({
    ...on(hosts[index]!),
    within: [...hosts[index]!.within, 'env', 'NODE_OPTIONS=--trace-warnings'],
    flags: ['--profile', 'lan', '--log-level', 'info'],
  }))
  const started = new Map(daemons.map(({ name }) => [name, performance.now()]))
  const complaints: string[] = []
  const complaintsOf = (daemon: Daemon): string[] => complaintsIn(daemon.log()).map(each => `${daemon.name}: ${each}`)
  let spared = 0
  let parted = false
  return {
    random,
    spare(lucky) {
      spared = lucky
    },
    mortal: () => random.pick(daemons.slice(spared)),
    shuffled: () => random.shuffle(daemons),
    all: () => daemons,
    started,
    async restart(daemon, how) {
      daemon.kill(how)
      await daemon.exited()
      complaints.push(...complaintsOf(daemon))
      daemons[daemons.indexOf(daemon)] = await daemon.restart()
      started.set(daemon.name, performance.now())
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
    complaints: () => [...complaints, ...daemons.flatMap(complaintsOf)],
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
