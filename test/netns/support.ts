import type { Daemon, DaemonOptions, Sandbox } from '../support/daemons.ts'
import { FULL } from '../support/full.ts'
import type { Host, Lan, World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'

/** The port of every daemon: each has a host of its own. */
export const PORT = 7946
/** What a daemon listens on when nobody says anything else. */
export const ANY = [`0.0.0.0:${PORT}`, `[::]:${PORT}`]

/** Hosts n0, n1, ... at 10.77.0.1, 10.77.0.2, ... of one LAN. */
export function hostsOn(world: World, lan: Lan, count: number): Host[] {
  return Array.from({ length: count }, (_, index) => {
    const host = world.host(`n${index}`)
    host.plug(lan, 'eth0', [`${addressOf(index)}/24`])
    return host
  })
}

export const addressOf = (index: number): string => `10.77.0.${index + 1}`

/** What makes a daemon run on a host. */
export function on(host: Host): Pick<DaemonOptions, 'name' | 'within' | 'listen' | 'port'> {
  return { name: host.name, within: host.within, listen: ANY, port: PORT }
}

/** A fleet with a daemon on each host, found through the first one. */
export async function fleetOn(
  box: Sandbox,
  hosts: readonly Host[],
  options: Partial<DaemonOptions> = {},
): Promise<Daemon[]> {
  const daemons = await box.fleet(hosts.length, index => ({
    ...on(hosts[index]!),
    flags: ['--profile', 'lan'],
    ...options,
  }))
  await allSeeAlive(daemons)
  return daemons
}

export async function statuses(daemon: Daemon): Promise<Map<string, string>> {
  const { members } = await daemon.json<{ members: { name: string; status: string }[] }>('members')
  return new Map(members.map(({ name, status }) => [name, status]))
}

/** Waits until each of `daemons` sees all of `daemons` alive, and nobody else. */
export async function allSeeAlive(daemons: readonly Daemon[], seconds = 60): Promise<void> {
  const alive = Object.fromEntries(daemons.map(({ name }) => [name, 'alive']))
  await allSee(daemons, alive, seconds)
}

/** Waits until each of `daemons` sees exactly `expected`, by name: one status, or one of several. */
export async function allSee(
  daemons: readonly Daemon[],
  expected: Readonly<Record<string, string | readonly string[]>>,
  seconds = 60,
): Promise<void> {
  let seen: unknown
  const wanted = Object.entries(expected)
  await eventually(
    `${daemons.map(({ name }) => name).join(', ')} to see ${JSON.stringify(expected)}`,
    async () => {
      for (const daemon of daemons) {
        const found = await statuses(daemon)
        seen = { at: daemon.name, ...Object.fromEntries(found) }
        if (found.size !== wanted.length || wanted.some(([name, status]) => !isOneOf(found.get(name), status)))
          return false
      }
      return true
    },
    { seconds, everyMs: 200, seen: () => seen },
  )
}

const isOneOf = (status: string | undefined, wanted: string | readonly string[]): boolean =>
  typeof wanted === 'string' ? status === wanted : wanted.some(one => one === status)

/** Names of the members that a daemon has ever seen fail, from its log. */
export function everFailed(daemon: Daemon): string[] {
  return daemon
    .log()
    .split('\n')
    .filter(line => line.includes('"event":"member-failed"'))
    .map(line => (JSON.parse(line) as { name: string }).name)
}

/** How long a fault lasts, in seconds, or how often it comes. */
export const lasting = (full: number, slice: number): number => (FULL ? full : slice)

/** The fault's own length: nothing is assumed to have happened by its end. */
export const passed = (seconds: number): Promise<void> => new Promise(resolve => setTimeout(resolve, seconds * 1000))
