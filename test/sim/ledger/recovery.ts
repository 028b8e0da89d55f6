import { millis } from '../../../protocol/index.ts'
import { draftRecovery, type LedgerValue, recovered } from '../../../rollout/index.ts'
import { hear } from './hosts.ts'
import type { Host, World } from './world.ts'

// A majority of the voters is lost for good, and an operator recovers the ledger from what those who are left know.

const majority = (count: number): number => (count >> 1) + 1
const isAfter = (a: LedgerValue, b: LedgerValue): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version)

/** So many of the voters are lost for good, with their disks, that the others are no majority. */
export function loseMajority(world: World): void {
  const { voters, successors } = world.watch.newest()
  // In the middle of a change it is not for one set alone to be lost.
  if (successors !== null || !world.faulty) return
  const there = voters.filter(node => world.hosts.get(node)!.gone === false)
  const doomed = world.random.shuffle(there).slice(0, there.length - majority(voters.length) + 1)
  if (world.all.filter(host => !host.gone).length - doomed.length < 2) return
  world.tally['lost-majority'] += 1
  if (world.broken !== 'recovery-of-the-living')
    for (const node of doomed) {
      const host = world.hosts.get(node)!
      if (world.watch.newest().voters.includes(node)) world.tally['lost-voter'] += 1
      host.gone = true
      host.alive = false
      host.life += 1
      host.absentSince = world.now
    }
  const lost = voters.filter(node => doomed.includes(node) || world.hosts.get(node)!.gone)
  world.agenda.add(world.now + 200 + world.random.int(4_000), () => recover(world, new Set(lost)))
}

/** An operator at some host gathers what the others know, signs, and all hear of it sooner or later. */
function recover(world: World, lost: ReadonlySet<Host['node']>): void {
  const { random, all, watch, tally } = world
  // Who is gone and was no voter is known as a member that is down.
  const left = all.filter(host => !lost.has(host.node))
  const asked = left.filter(host => !host.gone && host.alive && host.pausedUntil <= world.now)
  if (asked.length === 0) return world.agenda.add(world.now + 500, () => recover(world, lost))
  const known = asked.flatMap(host => [host.heard, host.disk?.value, host.first].filter(value => value !== undefined))
  const base = known.reduce((newest, value) => (isAfter(value, newest) ? value : newest), world.begin)
  if (isAfter(watch.newest(), base)) tally['recovered-stale'] += 1
  const members =
    world.broken === 'recovery-of-the-known' ? base.permits : left.map(({ node }) => ({ node, zone: 'z' }))
  const count = Math.min(5, asked.length)
  const first = recovered({
    ...draftRecovery(base, {
      voters: random
        .shuffle(asked)
        .slice(0, count % 2 === 1 ? count : count - 1)
        .map(({ node }) => node),
      lost: [...lost],
      members: members.filter(({ node }) => !lost.has(node)).map(({ node, zone }) => ({ node, zone })),
      planned: Math.max(...[...world.plans.values()].map(({ body }) => body.generation)),
      now: millis(world.now),
      chance: random.int(1_000),
    }),
    reason: 'recovered',
  })
  tally.recovered += 1
  watch.recovered(first)
  world.recovery = first
  for (const host of left) tell(world, host, first)
}

/** Passed on from member to member, and compared from time to time: it comes to everybody in the end. */
function tell(world: World, host: Host, first: LedgerValue): void {
  world.agenda.add(world.now + world.random.int(3_000), () => {
    if (host.gone) return
    if (!host.alive || host.pausedUntil > world.now) return tell(world, host, first)
    host.recovered = first
    if (first.epoch > host.first.epoch) {
      host.first = first
      host.round = 0
    }
    hear(world, host, first)
  })
}
