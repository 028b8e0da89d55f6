import { type Digest, millis, type NodeId, type Plan, type Statement } from '../../../protocol/index.ts'
import type { LedgerValue, Permit } from '../../../rollout/index.ts'
import type { Host, World } from './world.ts'

/**
 * Faults that are planted on purpose, to see that the checks notice. None is a setting of production code: each is done to it from outside.
 * The value says what is wrong.
 */
export const PLANTED = {
  'permits-expire': 'voters drop permits after a while',
  'voters-forget': 'a restarted voter has lost its state',
  'reply-before-persist': 'a voter answers before its disk has what it speaks of',
  'release-unbound': 'a release is proposed without being bound on disk',
  'release-before-undrained': 'who was drained and does not go down gives its permit back before it is in service',
  'orders-unaddressed': 'an order does not say which generation it is for',
  'turn-by-gossip': 'a host takes its turn when it believes those before it to be done or dead, and asks no register',
  'grant-without-re-read': 'a host acts on its permit without looking whether the register still has it',
  'earlier-answers-count':
    'a host acts on what the register said when it was asked before, and not on what it was asked for now',
  'undo-outside-the-budget': 'going back needs no permit',
  'unsigned-path': 'voters take plans whose signatures nobody has checked',
  'denied-forgotten': 'an image that failed may be tried again without --force',
  'limit-ignored': 'the failure limit stops nothing',
  'recovery-of-the-known':
    'a recovered ledger begins with the permits that somebody remembers, and not with one for everybody',
  'recovery-of-the-living':
    'a ledger is recovered though its voters live, and nobody forgets them: both registers grant',
  deaf: 'hosts hear nothing of the ledger',
} as const
export type Broken = keyof typeof PLANTED

const PERMIT_TTL = 1_500

export const withoutExpired = (value: LedgerValue, now: number): LedgerValue => ({
  ...value,
  permits: value.permits.filter(permit => now - permit.since < PERMIT_TTL),
})

/** The plan as the rules see it: the true one, unless this schedule's rules are broken. */
export function asJudged({ broken }: World, plan: Statement<Plan>): Statement<Plan> {
  if (broken === 'denied-forgotten') return { ...plan, body: { ...plan.body, force: true } }
  if (broken === 'limit-ignored') return { ...plan, body: { ...plan.body, maxFailed: 99 } }
  return plan
}

/** A permit that a host gives to itself; undefined where it asks the register as it should. */
export function ownPermit(world: World, host: Host): Permit | undefined {
  const { heard } = host
  if (heard === undefined) return undefined
  const undo = world.broken === 'undo-outside-the-budget' && heard.phase === 'reversing'
  const turn = world.broken === 'turn-by-gossip' && isTurn(world, host, world.plan(heard.plan))
  if (!undo && !turn) return undefined
  return {
    token: 1_000_000 + host.life,
    node: host.node,
    zone: 'z',
    kind: undo ? 'revert' : 'replace',
    generation: heard.generation,
    since: millis(world.now),
  }
}

/** Habitat's rule: the one before me, among those that I believe to be alive, runs the new image. */
function isTurn(world: World, host: Host, plan: Statement<Plan> | undefined): boolean {
  if (plan === undefined) return false
  const { roster, image } = plan.body
  const before = roster.slice(0, roster.indexOf(host.node)).toReversed()
  const previous = before.find(node => believesAlive(world, host, node))
  return previous === undefined || imageOf(world, previous) === image
}

/** A member that cannot be reached is soon held to be dead. */
function believesAlive(world: World, host: Host, node: NodeId): boolean {
  const other = world.hosts.get(node)
  return other?.alive === true && other.pausedUntil <= world.now && world.reaches(node, host.node)
}
const imageOf = (world: World, node: NodeId): Digest | undefined => world.hosts.get(node)?.current
