import type { Digest, Millis, NodeId, Plan } from '../../protocol/index.ts'
import { clearBit, countBits, emptyBits, hasBit, setBit } from './bits.ts'
import { grant } from './grant.ts'
import { remembered } from './history.ts'
import { isRefusal, refuse } from './refusal.ts'
import { advance, hasFailed, isOver, limitReached, nextStage, noWayBack, phaseOf, stagesOf, wayBack } from './stages.ts'
import { stalled } from './stall.ts'
import type { Action, LedgerValue, Permit, Refusal } from './value.ts'

/** Failed digests that a group remembers; the oldest is forgotten first. */
const MAX_DENIED = 64
const MAX_FENCED = 256

/** The first value of a group's ledger: no plan, no permits, and the voters that the policy names. */
export function genesis(group: string, voters: readonly NodeId[]): LedgerValue {
  return {
    group,
    version: 0,
    epoch: 1,
    voters,
    successors: null,
    generation: 0,
    plan: null,
    phase: 'idle',
    resumeTo: null,
    wave: 0,
    soakUntil: 0 as Millis,
    reason: '',
    nextToken: 1,
    permits: [],
    ok: emptyBits(0),
    failed: emptyBits(0),
    writtenOff: emptyBits(0),
    targets: {},
    denied: [],
    fenced: [],
    history: [],
    progressAt: 0 as Millis,
  }
}

/**
 * The one reducer: what every action makes of a ledger. Pure and total. Proposers run it to make the next value, and every
 * voter runs it again on what it is asked to accept, so that no voter has an illegal transition on its disk.
 *
 * `plan` is the plan that the value names (for `start`: the one that starts). What needs the plan is refused without it.
 */
export function apply(value: LedgerValue, action: Action, plan: Plan | undefined): LedgerValue | Refusal {
  if (value.successors !== null) return refuse('closed', `epoch ${value.epoch} of this ledger is closed`)
  const result = overtaken(value, action) ?? transition(value, action, plan)
  return isRefusal(result) ? result : { ...result, version: value.version + 1 }
}

/** An order that took effect before, or came too late: whoever proposed it may not know. */
function overtaken({ generation, wave, phase }: LedgerValue, action: Action): Refusal | undefined {
  if (!('meant' in action) || action.meant === undefined) return undefined
  const { meant } = action
  if (meant.generation !== generation)
    return refuse('stale', `it is for generation ${meant.generation}, and generation ${generation} is the newest`)
  if (action.type === 'promote' && (wave > meant.wave || phase === 'done'))
    return refuse('unchanged', `wave ${meant.wave + 1} of generation ${generation} is over`)
  return undefined
}

function transition(value: LedgerValue, action: Action, plan: Plan | undefined): LedgerValue | Refusal {
  switch (action.type) {
    case 'start':
      return start(value, action)
    case 'grant':
      return grant(value, action, plan)
    case 'release':
      return release(value, action, plan)
    case 'already':
      return already(value, action, plan)
    case 'unwell':
      return unwell(value, action, plan)
    case 'soaked':
      return soaked(value, action.now, plan)
    case 'stall':
      // Whoever was cut off may have seen it stand still long ago.
      return plan === undefined || stalled(value, plan, action.now) === undefined
        ? refuse('unchanged', 'the rollout is moving, or is not to be paused for standing still')
        : pause(value, action.reason, action.now)
    case 'pause':
      return pause(value, action.reason, action.now)
    case 'resume':
      return resume(value, action.reason, action.now, plan)
    case 'promote':
      return promote(value, action.reason, action.now, plan)
    case 'abort':
      return abort(value, action.reason, action.now)
    case 'undo':
      return undo(value, action.reason, action.now, plan)
    case 'write-off':
      return writeOff(value, action, plan)
    case 'reconfigure':
      return reconfigure(value, action.voters)
    default:
      return action satisfies never
  }
}

function start(value: LedgerValue, { plan, now }: Extract<Action, { type: 'start' }>): LedgerValue | Refusal {
  const { body } = plan
  if (value.plan === plan.id) return refuse('unchanged', `generation ${body.generation} has been started already`)
  if (!isOver(value.phase))
    return refuse(
      'conflict',
      `generation ${value.generation} is active (${value.phase}); wait for it, or abort or undo it first`,
    )
  if (body.group !== value.group) return refuse('conflict', `the plan is for group ${body.group}`)
  if (body.generation <= value.generation)
    return refuse(
      'stale',
      `generation ${body.generation} is not newer than generation ${value.generation}; draft the plan again`,
    )
  if (now > body.notAfter)
    return refuse('expired', `the plan expired on ${new Date(body.notAfter).toISOString()}; draft it again`)
  if (value.denied.includes(body.image) && !body.force)
    return refuse(
      'denied',
      `image ${body.version} (${body.image.slice(0, 12)}) failed in this group before; --force overrides`,
    )
  const running = value.targets[body.layer] ?? null
  if (running !== body.previous)
    return refuse('conflict', `the plan was drafted when layer ${body.layer} ran another image; draft it again`)
  const count = body.roster.length
  // Who was written off never goes again, and must not be waited for.
  const writtenOff = body.roster.reduce(
    (bits, node, index) => (value.fenced.includes(node) ? setBit(bits, index) : bits),
    emptyBits(count),
  )
  if (countBits(writtenOff) === count) return refuse('fenced', 'everybody that the plan names was written off')
  const begun: LedgerValue = {
    ...value,
    generation: body.generation,
    plan: plan.id,
    phase: phaseOf(body, 0),
    resumeTo: null,
    wave: 0,
    soakUntil: 0 as Millis,
    reason: body.reason,
    ok: emptyBits(count),
    failed: emptyBits(count),
    writtenOff,
    history: remembered(value, plan, now),
    progressAt: now,
  }
  // The canaries may all have been written off.
  return advance(begun, body)
}

function release(
  value: LedgerValue,
  action: Extract<Action, { type: 'release' }>,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  const permit = value.permits.find(held => held.node === action.node && held.token === action.token)
  if (permit === undefined) return refuse('stale', `token ${action.token} is not held by this node`)
  const freed: LedgerValue = {
    ...value,
    permits: value.permits.filter(held => held !== permit),
    progressAt: action.now,
  }
  // A permit of an older generation (one that was aborted) says nothing about this one.
  if (plan === undefined) return freed
  if (permit.generation !== value.generation || !isOfRollout(permit)) return advance(freed, plan)
  const index = plan.roster.indexOf(action.node)
  switch (action.outcome) {
    case 'skipped':
      return advance(freed, plan)
    case 'ok':
      return advance(
        { ...freed, ok: permit.kind === 'replace' ? setBit(freed.ok, index) : clearBit(freed.ok, index) },
        plan,
      )
    case 'rolledback':
      return permit.kind === 'replace' ? fail(freed, plan, index, action.reason) : advance(freed, plan)
    default:
      return action.outcome satisfies never
  }
}

/** Whether a permit is for a step of its generation. */
const isOfRollout = ({ kind }: Permit): boolean => kind === 'replace' || kind === 'revert'

/** Counts a failure, and takes the rollout back when that was one too many. */
function fail(value: LedgerValue, plan: Plan, index: number, reason: string): LedgerValue {
  const failed: LedgerValue = { ...value, failed: setBit(value.failed, index) }
  const phase = underWay(failed)
  if (phase !== 'canary' && phase !== 'rolling' && phase !== 'soaking') return advance(failed, plan)
  const canary = index < plan.canary
  if (!hasFailed(failed, plan)) return advance(failed, plan)
  const denied = deny(failed.denied, plan.image)
  const why = `${canary ? 'the canary' : `node ${index + 1} of the roster`} failed: ${reason}`.slice(0, 512)
  if (wayBack(plan) === null) {
    return {
      ...failed,
      denied,
      phase: 'paused',
      resumeTo: phase,
      reason: `${why}; ${noWayBack(plan)}`,
    }
  }
  return advance({ ...failed, denied, phase: 'reversing', resumeTo: null, reason: why }, plan)
}

/** The phase that a rollout is in, or was in when it was paused. */
const underWay = (value: LedgerValue): LedgerValue['phase'] =>
  value.phase === 'paused' && value.resumeTo !== null ? value.resumeTo : value.phase

const isForward = (phase: LedgerValue['phase']): boolean =>
  phase === 'canary' || phase === 'rolling' || phase === 'soaking'

function unwell(
  value: LedgerValue,
  { node, generation, reason, now }: Extract<Action, { type: 'unwell' }>,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  if (plan === undefined || !isForward(underWay(value)))
    return refuse('phase', `generation ${value.generation} is ${value.phase}`)
  const index = plan.roster.indexOf(node)
  if (index < 0) return refuse('not-in-roster', `plan ${plan.generation} does not name this node`)
  if (generation !== value.generation || !hasBit(value.ok, index))
    return refuse('turn', 'it has not been replaced in this generation')
  if (hasBit(value.failed, index)) return refuse('unchanged', 'the ledger knows')
  return fail({ ...value, progressAt: now }, plan, index, reason)
}

function soaked(value: LedgerValue, now: Millis, plan: Plan | undefined): LedgerValue | Refusal {
  if (plan === undefined || value.phase !== 'soaking')
    return refuse('phase', `generation ${value.generation} is ${value.phase}`)
  if (now < value.soakUntil) return refuse('turn', `it soaks until ${new Date(value.soakUntil).toISOString()}`)
  return nextStage({ ...value, progressAt: now }, plan)
}

function already(
  value: LedgerValue,
  { node, generation, image, now }: Extract<Action, { type: 'already' }>,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  if (plan === undefined) return refuse('phase', 'the ledger has no plan')
  const index = plan.roster.indexOf(node)
  if (index < 0) return refuse('not-in-roster', `plan ${plan.generation} does not name this node`)
  if (value.permits.some(permit => permit.node === node))
    return refuse('unchanged', 'it holds a permit, and says so when it gives that back')
  const phase = underWay(value)
  const ok = hasBit(value.ok, index)
  if (generation !== value.generation || image !== (phase === 'reversing' ? plan.previous : plan.image))
    return refuse('stale', `that is not what generation ${value.generation} brings it to`)
  if (isForward(phase) && !ok) return advance({ ...value, ok: setBit(value.ok, index), progressAt: now }, plan)
  if (phase === 'reversing' && ok) return advance({ ...value, ok: clearBit(value.ok, index), progressAt: now }, plan)
  return refuse('unchanged', 'the ledger knows')
}

function pause(value: LedgerValue, reason: string, now: Millis): LedgerValue | Refusal {
  const { phase } = value
  if (phase !== 'canary' && phase !== 'rolling' && phase !== 'soaking' && phase !== 'reversing') {
    return refuse(phase === 'paused' ? 'unchanged' : 'phase', `generation ${value.generation} is ${phase}`)
  }
  return { ...value, phase: 'paused', resumeTo: phase, reason, progressAt: now }
}

function resume(value: LedgerValue, reason: string, now: Millis, plan: Plan | undefined): LedgerValue | Refusal {
  if (value.phase !== 'paused' || value.resumeTo === null)
    return refuse(
      isOver(value.phase) ? 'phase' : 'unchanged',
      `generation ${value.generation} is ${value.phase}, not paused`,
    )
  if (plan !== undefined && isForward(value.resumeTo) && hasFailed(value, plan))
    return refuse('denied', limitReached(plan))
  const resumed: LedgerValue = { ...value, phase: value.resumeTo, resumeTo: null, reason, progressAt: now }
  // The last of a stage may have come back while it was paused; nothing else would notice any more.
  return plan === undefined ? resumed : advance(resumed, plan)
}

/** Goes on to the next stage though this one is not over, or to the end of the last soak. */
function promote(value: LedgerValue, reason: string, now: Millis, plan: Plan | undefined): LedgerValue | Refusal {
  const phase = underWay(value)
  const waits =
    phase === 'soaking' || (isForward(phase) && plan !== undefined && value.wave < stagesOf(plan).length - 1)
  if (plan === undefined || !waits)
    return refuse(
      'phase',
      `generation ${value.generation} is ${value.phase}; only a canary, a wave or a soak can be promoted`,
    )
  if (hasFailed(value, plan)) return refuse('denied', limitReached(plan))
  const promoted = nextStage({ ...value, progressAt: now }, plan)
  return promoted.phase === 'done' || reason === '' ? promoted : { ...promoted, reason }
}

function abort(value: LedgerValue, reason: string, now: Millis): LedgerValue | Refusal {
  if (isOver(value.phase))
    return refuse(
      value.phase === 'aborted' ? 'unchanged' : 'phase',
      `generation ${value.generation} is ${value.phase} already`,
    )
  return { ...value, phase: 'aborted', resumeTo: null, reason, progressAt: now }
}

function undo(value: LedgerValue, reason: string, now: Millis, plan: Plan | undefined): LedgerValue | Refusal {
  if (plan === undefined || value.phase === 'idle') return refuse('phase', 'there is no generation to undo')
  if (value.phase === 'rolled-back') return refuse('unchanged', `generation ${value.generation} is undone already`)
  if (value.phase === 'reversing') return refuse('unchanged', `generation ${value.generation} is being undone`)
  if (wayBack(plan) === null) return refuse('denied', `generation ${value.generation}: ${noWayBack(plan)}`)
  return advance({ ...value, phase: 'reversing', resumeTo: null, reason, progressAt: now }, plan)
}

function writeOff(
  value: LedgerValue,
  { node, reason, now }: Extract<Action, { type: 'write-off' }>,
  plan: Plan | undefined,
): LedgerValue | Refusal {
  if (value.fenced.includes(node)) return refuse('unchanged', 'this node is written off already')
  const index = plan?.roster.indexOf(node) ?? -1
  const freed: LedgerValue = {
    ...value,
    permits: value.permits.filter(permit => permit.node !== node),
    fenced: [...value.fenced, node].slice(-MAX_FENCED),
    writtenOff: index < 0 ? value.writtenOff : setBit(value.writtenOff, index),
    reason,
    progressAt: now,
  }
  return plan === undefined ? freed : advance(freed, plan)
}

function reconfigure(value: LedgerValue, voters: readonly NodeId[]): LedgerValue | Refusal {
  if (voters.length % 2 === 0 || voters.length > 7)
    return refuse('phase', `a ledger has 1, 3, 5 or 7 voters, not ${voters.length}`)
  if (new Set(voters).size !== voters.length) return refuse('phase', 'a voter is named twice')
  // Asked for before it was lost, perhaps: with too many of these the epoch would be closed in favour of one that nobody can open.
  if (voters.some(voter => value.fenced.includes(voter))) return refuse('fenced', 'one of the voters was written off')
  if (voters.length === value.voters.length && voters.every(voter => value.voters.includes(voter)))
    return refuse('unchanged', 'these are the voters already')
  return { ...value, successors: voters }
}

/** The first value of the epoch after a closed one. */
export function successor(closed: LedgerValue): LedgerValue {
  if (closed.successors === null)
    throw new RangeError(`epoch ${closed.epoch} of the ledger of ${closed.group} is not closed`)
  return {
    ...closed,
    version: closed.version + 1,
    epoch: closed.epoch + 1,
    voters: closed.successors,
    successors: null,
  }
}

const deny = (denied: readonly Digest[], image: Digest): readonly Digest[] =>
  [...denied.filter(digest => digest !== image), image].slice(-MAX_DENIED)
