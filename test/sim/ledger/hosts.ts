import type { Millis } from '../../../protocol/index.ts'
import {
  type Action,
  createReplacement,
  type LedgerValue,
  type Permit,
  type ReplacementEffect,
  type ReplacementInput,
  stalled,
} from '../../../rollout/index.ts'
import { ownPermit } from './planted.ts'
import { propose } from './proposals.ts'
import { clockOf, type Host, isOfEra, pauseFor, type World } from './world.ts'

// A host: the real replacement machine, and a layer that carries its effects out as daemon/rollout/layer.ts does.

const isWell = (world: World, host: Host): boolean => world.schedule.well(host.current, world.all.indexOf(host))

export function input(world: World, host: Host, next: ReplacementInput): void {
  for (const effect of host.machine.step(host.clock(), next)) perform(world, host, effect)
}

/** The ledger as somebody tells it: a hint. */
export function hear(world: World, host: Host, value: LedgerValue): void {
  if (world.broken === 'deaf' || !isOfEra(host, value)) return
  host.heard = value
  input(world, host, { type: 'ledger', value, plan: world.plan(value.plan) })
}

function perform(world: World, host: Host, effect: ReplacementEffect): void {
  const { random, faulty, broken, watch, tally } = world
  const later = (delay: number, run: () => ReplacementInput | undefined): void =>
    world.at(host, delay, () => {
      const result = run()
      if (result !== undefined) input(world, host, result)
    })
  switch (effect.type) {
    case 'state':
      return
    case 'wakeAt': {
      host.wakes += 1
      const mine = host.wakes
      return world.at(host, Math.max(0, effect.at - host.clock()), () => {
        if (mine === host.wakes) input(world, host, { type: 'wake' })
      })
    }
    case 'stage':
      return later(random.int(100), () => ({ type: 'staged', image: effect.image }))
    case 'ask-ready':
      return later(1, () => ({ type: 'ready', answer: 'ok', reason: '' }))
    case 'ask-permit':
      return askPermit(world, host)
    case 'persist-intent':
      // Writes to one file happen in the order in which they were asked for.
      host.intentFreeAt = Math.max(host.intentFreeAt, world.now) + random.int(5)
      return later(host.intentFreeAt - world.now, () => {
        if (effect.intent === null) {
          host.intent = null
          return undefined
        }
        if (faulty && random.int(50) === 0) {
          tally['intent-refused'] += 1
          return { type: 'intent-not-persisted', reason: 'the disk is full' }
        }
        if (broken !== 'release-unbound' || effect.intent.act !== 'release') host.intent = effect.intent
        return { type: 'intent-persisted' }
      })
    case 'drain':
      host.disrupted = true
      world.onTurn?.(host, 'down')
      // The worst moment to be stopped: it holds a permit, and is about to act on it.
      if (faulty && random.int(30) === 0) pauseFor(world, host, 6_000 + random.int(14_000), 'pause-after-grant')
      return later(random.int(50), () => {
        const fails = faulty && random.int(12) === 0
        if (fails) tally['drain-failed'] += 1
        return { type: 'drained', answer: fails ? 'failed' : 'ok', reason: '' }
      })
    case 'undrain':
      if (broken === 'release-before-undrained') later(0, () => ({ type: 'undrained' }))
      return later(random.int(100), () => {
        host.disrupted = false
        return { type: 'undrained' }
      })
    case 'reread':
      return reread(world, host, effect.asked)
    case 'flip': {
      const intent = host.intent
      if (effect.actBy !== null && host.clock() > effect.actBy)
        return later(0, () => ({ type: 'flip-failed', image: effect.image, why: 'late', reason: '' }))
      if (effect.actBy !== null)
        watch.flips(host, intent, world.plan(intent?.act === 'replace' ? intent.plan : null), world.now)
      return later(random.int(200), () => {
        host.current = effect.image
        tally.flip += 1
        if (!isWell(world, host)) tally['unwell-after-flip'] += 1
        world.at(host, 20, () =>
          input(world, host, { type: 'health', health: isWell(world, host) ? 'passing' : 'failing', reason: '' }),
        )
        return { type: 'flipped', image: effect.image }
      })
    }
    case 'confirm':
      return later(1, () => ({ type: 'confirmed', enough: true, reason: '' }))
    case 'release': {
      const { token, outcome } = effect
      // Who never went down has been put back before.
      if (outcome !== 'skipped') host.disrupted = false
      world.onTurn?.(host, 'up')
      // The worst moment to be killed: the proposal has left, and may be completed by anybody at any time.
      if (faulty && random.int(10) === 0)
        world.at(host, random.int(80), () => {
          tally['crash-at-release'] += 1
          kill(world, host)
        })
      if (ownPermit(world, host) !== undefined) return later(1, () => ({ type: 'released' }))
      const action: Action = { type: 'release', node: host.node, token, outcome, reason: '', now: host.clock() }
      return propose(world, host, action, answer => {
        if (answer.type === 'no-quorum') return input(world, host, { type: 'not-released', gone: false, reason: '' })
        const gone = !answer.value.permits.some(permit => permit.token === token)
        input(
          world,
          host,
          answer.type === 'committed' ? { type: 'released' } : { type: 'not-released', gone, reason: '' },
        )
      })
    }
    case 'already':
    case 'unwell':
      return propose(world, host, { ...effect, node: host.node, now: host.clock() }, () => undefined)
    default:
      return effect satisfies never
  }
}

function askPermit(world: World, host: Host): void {
  world.onTurn?.(host, 'asks')
  const own = ownPermit(world, host)
  if (own !== undefined) return world.at(host, 1, () => input(world, host, { type: 'granted', permit: own }))
  if (world.broken === 'turn-by-gossip')
    return world.at(host, 1, () => input(world, host, { type: 'not-granted', refusal: 'no-quorum', reason: '' }))
  const unavailable = world.all.filter(other => other !== host && !other.alive).map(({ node }) => ({ node, zone: 'z' }))
  const action: Action = { type: 'grant', node: host.node, zone: 'z', unavailable, now: host.clock() }
  propose(world, host, action, outcome => {
    const permit =
      outcome.type === 'no-quorum' ? undefined : outcome.value.permits.find(held => held.node === host.node)
    if (permit === undefined) return input(world, host, { type: 'not-granted', refusal: 'no-quorum', reason: '' })
    input(world, host, { type: 'granted', permit })
  })
}

function reread(world: World, host: Host, asked: Millis): void {
  const { heard } = host
  const own = ownPermit(world, host)
  const token = host.machine.view().token
  // What it remembers instead of what the register has.
  const remembered = own ?? (world.broken === 'grant-without-re-read' ? permitOf(host, token) : undefined)
  const believed =
    remembered === undefined || heard === undefined || token === null
      ? undefined
      : { ...heard, permits: [{ ...remembered, token }] }
  if (believed !== undefined)
    return world.at(host, 1, () => input(world, host, { type: 'reread', asked, value: believed }))
  propose(world, host, null, outcome =>
    input(world, host, {
      type: 'reread',
      asked: world.broken === 'earlier-answers-count' ? host.clock() : asked,
      value: outcome.type === 'committed' ? outcome.value : null,
    }),
  )
}

function permitOf({ node, intent, heard, clock }: Host, token: number | null): Permit | undefined {
  if (token === null || intent?.act !== 'replace') return undefined
  return { token, node, zone: 'z', kind: intent.kind, generation: heard?.generation ?? 0, since: clock() }
}

export function boot(world: World, host: Host): void {
  const { tally } = world
  if (host.life > 0) {
    tally.restart += 1
    if (host.intent !== null) tally['restart-with-intent'] += 1
    if (host.memory !== host.disk) tally['unwritten-lost'] += 1
  }
  host.alive = true
  host.life += 1
  host.silent = false
  host.busy = false
  host.waiting = []
  host.clock = clockOf(world, host)
  host.heard = undefined
  host.memory = world.broken === 'voters-forget' ? null : host.disk
  host.disk = host.memory
  host.diskFreeAt = 0
  host.machine = createReplacement({
    node: host.node,
    layer: 'app',
    current: host.current,
    intent: host.intent,
    random: world.random,
  })
  input(world, host, { type: 'health', health: isWell(world, host) ? 'passing' : 'failing', reason: '' })
  input(world, host, { type: 'wake' })
  beat(world, host)
}

/** What a daemon does from time to time though nobody told it anything. */
function beat(world: World, host: Host): void {
  const every = world.schedule.readEvery ?? 1_000
  world.at(host, every / 2 + world.random.int(1.5 * every), () => {
    propose(world, host, null, outcome => {
      if (outcome.type !== 'committed') return
      const { value } = outcome
      hear(world, host, value)
      const plan = world.plan(value.plan)
      const reason = plan === undefined ? undefined : stalled(value, plan.body, host.clock())
      if (reason !== undefined) propose(world, host, { type: 'stall', reason, now: host.clock() }, () => undefined)
      const permit = value.permits.find(held => held.node === host.node)
      if (permit !== undefined) input(world, host, { type: 'forgotten', permit })
    })
    beat(world, host)
  })
}

export function kill(world: World, host: Host): void {
  host.alive = false
  world.agenda.add(world.now + world.random.int(2_500), () => {
    if (!host.gone) boot(world, host)
  })
}
