import { type Digest, millis, type Plan, type Statement } from '../../../protocol/index.ts'
import { ACT_WITHIN, type Action, hasFailed, isOver } from '../../../rollout/index.ts'
import { NODES, planOf, type Shape, V1, V2 } from './fleet.ts'
import { propose } from './proposals.ts'
import type { World } from './world.ts'

// What operators do: they submit plans, of any host and again until one has begun, order this and that, write off hosts that stay away, and when all
// is quiet they see to it that the rollout comes to an end.

/** How long a host has to be away before anybody writes it off: longer than an act under an old re-read may take. */
const AWAY = ACT_WITHIN + 1_000

/** Proposes something at any host that is up. */
function at(world: World, action: Action): void {
  const host = world.all[world.random.int(world.all.length)]!
  if (host.alive) propose(world, host, action, () => undefined)
}

const ORDERS = {
  pause: 'pauses',
  resume: 'resumes',
  undo: 'undoes',
  promote: 'promotes',
  abort: 'aborts',
} as const

/** An operator's word on what is under way as far as it is known. */
function say(world: World, type: keyof typeof ORDERS): void {
  const { generation, wave } = world.watch.newest()
  world.watch.ordered(type, generation)
  world.tally[ORDERS[type]] += 1
  const meant = world.broken === 'orders-unaddressed' ? undefined : { generation, wave }
  at(world, { type, reason: '', now: millis(world.now), meant })
}

export function spread(world: World, plan: Statement<Plan>): void {
  world.plans.set(plan.id, plan)
}

/** Drafts the next plan from what the ledger says, and submits it until it has begun, something else has, or `until` has passed. */
export function submit(world: World, image: Digest | undefined, until: number): void {
  const { schedule, random, watch } = world
  const { generation, targets } = watch.newest()
  const running = targets.app ?? null
  const shape: Shape = {
    hosts: schedule.hosts,
    k: schedule.k,
    canary: generation === 0 ? schedule.canary : 0,
    maxFailed: schedule.maxFailed,
    generation: generation + 1,
    image: image ?? (running === V2 ? V1 : V2),
    previous: running,
    force: random.int(3) === 0,
    ...(generation > 0 || schedule.notAfter === undefined ? {} : { notAfter: schedule.notAfter }),
  }
  const plan = planOf(shape)
  const again = (): void => {
    if (watch.newest().generation > generation || world.now > until) return
    spread(world, plan)
    watch.meant(plan)
    at(world, { type: 'start', plan, now: millis(world.now) })
    world.agenda.add(world.now + 500 + random.int(1_000), again)
  }
  again()
}

/** Orders at random moments while there are faults. */
export function orders(world: World): void {
  const { random } = world
  const some = (oneIn: number, within: number, act: () => void): void => {
    if (random.int(oneIn) === 0) world.agenda.add(world.now + random.int(within), act)
  }
  const order = (type: keyof typeof ORDERS) => (): void => say(world, type)
  some(6, 6_000, order('undo'))
  some(8, 6_000, order('pause'))
  some(8, 9_000, order('resume'))
  some(8, 8_000, order('promote'))
  some(10, 9_000, order('abort'))
  some(3, 6_000, () => reconfigure(world))
  some(5, 11_000, () => reconfigure(world))
}

/** Other voters, an odd number of them; never so few that one lost host is a lost ledger. */
function reconfigure(world: World): void {
  const { random, schedule } = world
  const staying = NODES.slice(0, schedule.hosts).filter(node => world.hosts.get(node)?.gone === false)
  const count = [schedule.losesOne ? 3 : 1, 3, 3, 5][random.int(4)]!
  const voters = random.shuffle(staying).slice(0, count)
  at(world, { type: 'reconfigure', voters: voters.length % 2 === 1 ? voters : voters.slice(1) })
}

/** Hosts that hold a permit, or are needed by the plan and are lost, and have been away for long. */
export function writeOffs(world: World): void {
  const { fenced, permits } = world.watch.newest()
  for (const host of world.all) {
    if (fenced.includes(host.node) || world.now - host.absentSince < AWAY) continue
    const paused = host.pausedUntil > world.now && permits.some(({ node }) => node === host.node)
    if (host.gone || paused) at(world, { type: 'write-off', node: host.node, reason: '', now: millis(world.now) })
  }
  world.agenda.add(world.now + 500 + world.random.int(1_500), () => writeOffs(world))
}

/** Once all is quiet: goes on where a rollout is paused, and ends what cannot end by itself. */
export function tendToEnd(world: World): void {
  world.agenda.add(world.now + 2_000 + world.random.int(1_000), () => tendToEnd(world))
  const value = world.watch.newest()
  const plan = world.plan(value.plan)?.body
  if (plan === undefined || isOver(value.phase)) return
  const order = (type: 'resume' | 'undo' | 'abort'): void => say(world, type)
  const dead = hasFailed(value, plan) || world.now > plan.notAfter
  if (dead && value.phase !== 'reversing' && value.resumeTo !== 'reversing')
    order(plan.previous === null ? 'abort' : 'undo')
  else if (value.phase === 'paused') order('resume')
}
