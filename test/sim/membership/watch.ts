import type { MemberEvent, Profile } from '../../../membership/index.ts'
import type { Host, Process, WorldOptions } from './types.ts'
import type { Weather } from './weather.ts'

/** Machines whose own invariants are looked at in one inspection; in turn. */
const EXAMINED = 16

export interface WatchInit {
  readonly hosts: readonly Host[]
  readonly profile: Profile
  readonly weather: Weather
  readonly violations: string[]
  readonly start: number
  readonly now: () => number
  later(delay: number, run: () => void): void
  readonly onEvent: WorldOptions['onEvent']
}

/** What is watched all the time, once a second: M2, M3 and the machines' own invariants. Gives back what is to be told of a machine's events. */
export function watch(init: WatchInit): (process: Process, other: Host, event: MemberEvent) => void {
  const { hosts, profile, weather, violations, start, now, later, onEvent } = init
  const recoversIn = 20_000 + profile.redialLast
  let examined = 0
  /** By host: until when something was done to it that it may not have got over. */
  const disturbedUntil = new Float64Array(hosts.length)
  const told = ({ host, failed }: Process, other: Host, event: MemberEvent): void => {
    if (event === 'failed') failed.set(other, now())
    else failed.delete(other)
    onEvent?.(host, other, event)
  }
  const examine = (host: Host): void => {
    for (const broken of host.process?.machine.invariants() ?? [])
      violations.push(`at ${now() - start}: ${host.index}: ${broken}`)
  }
  /** Nothing was done to it, or to its links, that it has not had the time to get over. */
  const calm = (host: Host): boolean =>
    !weather.isSevered(host) &&
    !host.deaf &&
    host.loss.in + host.loss.out === 0 &&
    now() - host.disturbedAt > recoversIn
  const inspect = (): void => {
    const revoked = hosts.filter(host => host.revoked)
    const pruned = hosts.filter(host => host.pruned)
    const refutedIn = refutationTime(profile, weather.loss())
    for (const host of hosts)
      if (!calm(host) || host.process === undefined || host.revoked) disturbedUntil[host.index] = now()
    for (const host of hosts) {
      const { process } = host
      if (process === undefined || now() < process.pausedUntil || host.revoked) continue
      for (const other of revoked) {
        const status = process.machine.status(other.id)
        if (status !== undefined)
          violations.push(`M3: ${host.index} has ${other.index} as ${status} though it was revoked`)
      }
      for (const other of process.dropped) if (!other.pruned) process.dropped.delete(other)
      for (const other of pruned) {
        const status = process.machine.status(other.id)
        // Who never heard of it may yet: a process that has just started does not know that it was pruned.
        if (status === undefined) {
          if (process.machine.knows(other.id)) process.dropped.add(other)
        } else if (process.dropped.has(other))
          violations.push(`M3: ${host.index} has ${other.index} as ${status} again though it was pruned`)
      }
      // In a fleet in two halves that is all of them, and each has half of the fleet for failed.
      if (disturbedUntil[host.index] === now()) continue
      for (const [other, failedAt] of process.failed) {
        const lasted = now() - Math.max(failedAt, disturbedUntil[host.index]!, disturbedUntil[other.index]!)
        if (lasted > refutedIn)
          violations.push(`M2: ${other.index} answers and has been failed at ${host.index} for ${lasted} ms`)
      }
    }
    for (let count = 0; count < Math.min(EXAMINED, hosts.length); count++) examine(hosts[examined++ % hosts.length]!)
    later(1_000, inspect)
  }
  later(1_000, inspect)
  return told
}

/** Of so many false failures one may last longer than M2 allows: what is bounded where frames are lost is a chance. */
const ONE_IN = 1_000_000
/**
 * How long a member that answers may be failed at somebody, milliseconds: M2's bound. Where nothing is lost, gossip brings the
 * refutation, or the first sync does. Where it may be lost, syncs are what is certain: a node takes part in two in each
 * syncInterval, one that it begins and one that another does, and one gets through when its four frames do (digest, keys,
 * want, items), with the chance (1 - loss)^4. So many of them that all fail once in ONE_IN:
 *
 *   10 s + ln(1 / ONE_IN) / ln(1 - (1 - loss)^4) * syncInterval / 2
 *
 * With profile local and a loss of 1, 5, 10 and 30 % that is 48, 78, 108 and 393 s. It is no measure of how long it takes, which is
 * most often well under a second: gossip comes by other ways too, and a new doubt brings a new refutation.
 */
export function refutationTime({ syncInterval }: Profile, loss: number): number {
  const through = (1 - loss) ** 4
  const syncs = loss === 0 ? 0 : Math.ceil(Math.log(1 / ONE_IN) / Math.log(1 - through))
  return 10_000 + (syncs * syncInterval) / 2
}
