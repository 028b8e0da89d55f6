import type { Random } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

/** A fleet under fire, and what was done to it. */
export interface Fleet {
  readonly random: Random
  /** Those that are never ended, from whose growth one can tell a leak. */
  readonly steady: readonly string[]
  /** Daemons that run and are not stopped, in random order. */
  awake(): Daemon[]
  all(): readonly Daemon[]
  restart(daemon: Daemon, how: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Stops half of the daemons with SIGSTOP: to the others they are behind a cut, and they to them. Continued by `heal`. */
  part(): void
  heal(): void
  parted(): boolean
  /** Events that a daemon has confirmed to have fired, as `author name/payload`. */
  readonly fired: Set<string>
  close(): Promise<void>
}

export async function startFleet(count: number, steadyCount: number, random: Random): Promise<Fleet> {
  const box: Sandbox = await sandbox()
  const daemons = await box.fleet(count, () => ({ flags: ['--profile', 'lan', '--log-level', 'info'] }))
  const steady = daemons.slice(0, steadyCount).map(({ name }) => name)
  const asleep = new Set<string>()
  return {
    random,
    steady,
    awake: () => random.shuffle(daemons.filter(({ name }) => !asleep.has(name))),
    all: () => daemons,
    async restart(daemon, how) {
      daemon.kill(how)
      await daemon.exited()
      daemons[daemons.indexOf(daemon)] = await daemon.restart()
    },
    part() {
      for (const daemon of random.shuffle(daemons).slice(0, Math.floor(count / 2))) {
        asleep.add(daemon.name)
        daemon.kill('SIGSTOP')
      }
    },
    heal() {
      for (const daemon of daemons) if (asleep.has(daemon.name)) daemon.kill('SIGCONT')
      asleep.clear()
    },
    parted: () => asleep.size > 0,
    fired: new Set(),
    close: () => box.close(),
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
