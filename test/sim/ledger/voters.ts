import { openPlan, type Plan, type Statement } from '../../../protocol/index.ts'
import { objectionTo, type Reply, type Request, vote } from '../../../rollout/index.ts'
import { AUTHORITY } from './fleet.ts'
import { asJudged, withoutExpired } from './planted.ts'
import type { Host, World } from './world.ts'

/** Statements whose signatures have been found good: they are the same objects in every schedule. */
const believed = new WeakSet<Statement<Plan>>()
function isSigned(plan: Statement<Plan>): boolean {
  if (believed.has(plan)) return true
  try {
    openPlan(AUTHORITY, plan.bytes)
  } catch {
    return false
  }
  believed.add(plan)
  return true
}

/** The voter of a host: the real one, on a disk that is slow and may refuse. */
export function answer(world: World, voter: Host, request: Request, reply: (reply: Reply) => void): void {
  const { broken, faulty, random, now } = world
  if (voter.silent) return
  const begins =
    request.type === 'accept' && request.change?.action.type === 'start' ? request.change.action : undefined
  // What `decodeRequest` does to what comes from the network.
  if (begins !== undefined && broken !== 'unsigned-path' && !isSigned(begins.plan)) return
  const result = vote(voter.memory, request, {
    self: voter.node,
    plan: id => judged(world, world.plan(id)),
    genesisVoters: () => world.begin.voters,
    objection: plan => objectionAt(world, voter, plan),
    recovered: () => voter.recovered,
    now: voter.clock,
  })
  const said: Reply =
    broken === 'permits-expire' && (result.reply.type === 'state' || result.reply.type === 'promised')
      ? { ...result.reply, value: withoutExpired(result.reply.value, now) }
      : result.reply
  // What it speaks of may still be on its way to the disk: requests are answered one after another.
  if (result.state === voter.memory) return world.at(voter, Math.max(0, voter.diskFreeAt - now), () => reply(said))
  voter.memory = result.state
  if (broken === 'reply-before-persist') reply(said)
  if (faulty && random.int(400) === 0) {
    world.tally['voter-disk-refused'] += 1
    voter.silent = true
    return
  }
  voter.diskFreeAt = Math.max(voter.diskFreeAt, now) + random.int(faulty ? 12 : 4)
  const { state } = result
  world.at(voter, voter.diskFreeAt - now, () => {
    voter.disk = state
    if (broken !== 'reply-before-persist') reply(said)
  })
}

/** What a daemon has against a plan that begins: its own clock, its policy, its members. */
function objectionAt(world: World, host: Host, plan: Statement<Plan>): string | undefined {
  if (world.broken === 'unsigned-path') return undefined
  const members = world.all.map(({ node }, at) => ({ id: node, name: `n${at}`, group: 'web' }))
  return objectionTo(plan, { now: host.clock(), policy: AUTHORITY.policy, members, value: undefined })?.reason
}

export const judged = (world: World, plan: Statement<Plan> | undefined): Statement<Plan> | undefined =>
  plan === undefined ? undefined : asJudged(world, plan)
