import {
  type Digest,
  keyPairFromSeed,
  type Millis,
  millis,
  NO_GATES,
  type NodeId,
  nodeIdOf,
  PLAN,
  type Plan,
  type Random,
  type Statement,
  seededRandom,
  sha256,
  sign,
} from '../../protocol/index.ts'
import {
  type Action,
  createProposer,
  createReplacement,
  genesis,
  type Intent,
  type LedgerValue,
  type ProposerOutcome,
  type Replacement,
  type ReplacementEffect,
  type ReplacementInput,
  type Reply,
  type Request,
  type VoterState,
  vote,
} from '../../rollout/index.ts'
import { createAgenda } from './heap.ts'

// A group of hosts with the real voters, proposers, reducer and replacement machines, under a virtual clock, on a network
// that delays, loses, repeats and reorders messages and falls apart, with processes that are paused and killed and disks
// that are slow and fail. One seed is one schedule.

/** Ways in which the system is broken on purpose, to see that the checks notice. None is a setting of production code: each is done to it from outside. */
export type Broken = 'permits-expire' | 'voters-forget' | 'reply-before-persist' | 'release-unbound'

export interface Outcome {
  readonly violations: readonly string[]
  /** Virtual milliseconds. */
  readonly took: number
  readonly events: number
  readonly grants: number
  readonly finished: boolean
}

interface Host {
  readonly node: NodeId
  alive: boolean
  life: number
  pausedUntil: number
  machine: Replacement
  current: Digest
  intent: Intent | null
  intentFreeAt: number
  /** Voluntarily out of service: what I1 counts. Survives the daemon. */
  disrupted: boolean
  /** The voter: what it thinks, and what its disk has. */
  memory: VoterState | null
  disk: VoterState | null
  diskFreeAt: number
  silent: boolean
  /** Where this host believes the voters to be. */
  first: LedgerValue
  round: number
  busy: boolean
  waiting: (() => void)[]
  wakes: number
}

const FLEET = sha256(Buffer.from('simulated fleet')) as string as never
const OPERATOR = keyPairFromSeed(new Uint8Array(32).fill(9))
const NODES: readonly NodeId[] = Array.from({ length: 9 }, (_, index) =>
  nodeIdOf(keyPairFromSeed(new Uint8Array(32).fill(40 + index)).publicKey),
).sort()
const V1 = sha256(Buffer.from('v1'))
const V2 = sha256(Buffer.from('v2'))
const EPOCH_START = 1_700_000_000_000
const FAULTS_FOR = 12_000
const PERMIT_TTL = 1_500
/** Faults over, a plan for a handful of hosts must have ended after this long at the latest. */
const PATIENCE = 240_000

// Signing is slow and no part of what is examined: one plan of each shape is signed and used by all schedules.
const plans = new Map<string, Statement<Plan>>()
function planOf(shape: {
  hosts: number
  k: number
  canary: number
  generation: number
  back: boolean
}): Statement<Plan> {
  const key = JSON.stringify(shape)
  let plan = plans.get(key)
  if (plan === undefined) {
    plan = sign(
      PLAN,
      FLEET,
      millis(EPOCH_START),
      {
        ...NO_GATES,
        group: 'web',
        generation: shape.generation,
        layer: 'app',
        image: shape.back ? V1 : V2,
        version: 'shop:x',
        previous: shape.back ? V2 : V1,
        roster: NODES.slice(0, shape.hosts),
        strategy: shape.canary > 0 ? 'canary' : 'rolling',
        canary: shape.canary,
        maxUnavailable: shape.k,
        minHealthy: 100,
        deadline: 1_500,
        maxFailed: 1,
        notAfter: millis(EPOCH_START + 86_400_000),
        force: true,
        reason: 'simulated',
      },
      [OPERATOR],
    )
    plans.set(key, plan)
  }
  return plan
}

export function runSchedule(seed: number, options: { voters?: number; broken?: Broken } = {}): Outcome {
  const random: Random = seededRandom(seed)
  const { broken } = options
  const voterCount = options.voters ?? [1, 3, 3, 3, 5, 5, 7][random.int(7)]!
  const count = Math.max(3, voterCount) + random.int(2)
  const k = 1 + random.int(2)
  const canary = random.int(3) === 0 ? 1 : 0
  const healthy = random.int(4) > 0
  const loss = [0, 0.02, 0.1, 0.3][random.int(4)]!
  const agenda = createAgenda()
  const violations: string[] = []
  const committed = new Map<string, string>()
  const tokenOf = new Map<number, NodeId>()
  let now = EPOCH_START
  let events = 0
  let grants = 0
  let faulty = true
  /** Hosts of another side do not reach each other. */
  let side = new Map<NodeId, number>()
  let newest: LedgerValue = { ...genesis('web', NODES.slice(0, voterCount)), targets: { app: V1 } }
  const begin = newest
  const plan1 = planOf({ hosts: count, k, canary, generation: 1, back: false })
  const plan2 = planOf({ hosts: count, k, canary: 0, generation: 2, back: true })
  const planById = (id: Digest): Statement<Plan> | undefined =>
    id === plan1.id ? plan1 : id === plan2.id ? plan2 : undefined

  const hosts = new Map<NodeId, Host>()
  for (const node of NODES.slice(0, count)) {
    const voter: VoterState | null = begin.voters.includes(node)
      ? { first: begin, promised: { round: 0, node: '' }, accepted: { round: 0, node: '' }, value: begin, plan: null }
      : null
    hosts.set(node, {
      node,
      alive: true,
      life: 0,
      pausedUntil: 0,
      machine: undefined as never,
      current: V1,
      intent: null,
      intentFreeAt: 0,
      disrupted: false,
      memory: voter,
      disk: voter,
      diskFreeAt: 0,
      silent: false,
      first: begin,
      round: 0,
      busy: false,
      waiting: [],
      wakes: 0,
    })
  }

  /** Something that happens to a host: not while it is paused, and not in another life. */
  const at = (host: Host, delay: number, run: () => void): void => {
    const { life } = host
    const event = (): void => {
      if (!host.alive || host.life !== life) return
      if (host.pausedUntil > now) return agenda.add(host.pausedUntil, event)
      run()
    }
    agenda.add(now + delay, event)
  }
  const latency = (): number => 1 + random.int(faulty && random.int(20) === 0 ? 400 : 15)
  const deliver = (from: Host, to: Host, run: () => void): void => {
    const copies = faulty && random.int(50) === 0 ? 2 : 1
    for (let copy = 0; copy < copies; copy++) {
      if (faulty && random.float() < loss) continue
      if ((side.get(from.node) ?? 0) !== (side.get(to.node) ?? 0)) continue
      at(to, latency(), run)
    }
  }

  // ---- voters ----

  const expire = (value: LedgerValue): LedgerValue => ({
    ...value,
    permits: value.permits.filter(permit => now - permit.since < PERMIT_TTL),
  })
  const answer = (voter: Host, request: Request, reply: (reply: Reply) => void): void => {
    if (voter.silent) return
    const result = vote(voter.memory, request, {
      self: voter.node,
      plan: planById,
      genesisVoters: () => begin.voters,
      objection: () => undefined,
      now: () => millis(now),
    })
    const said: Reply =
      broken === 'permits-expire' && (result.reply.type === 'state' || result.reply.type === 'promised')
        ? { ...result.reply, value: expire(result.reply.value) }
        : result.reply
    // What it speaks of may still be on its way to the disk: requests are answered one after another.
    if (result.state === voter.memory) return at(voter, Math.max(0, voter.diskFreeAt - now), () => reply(said))
    voter.memory = result.state
    if (broken === 'reply-before-persist') reply(said)
    if (faulty && random.int(400) === 0) {
      voter.silent = true
      return
    }
    voter.diskFreeAt = Math.max(voter.diskFreeAt, now) + random.int(faulty ? 12 : 4)
    const { state } = result
    at(voter, voter.diskFreeAt - now, () => {
      voter.disk = state
      if (broken !== 'reply-before-persist') reply(said)
    })
  }

  // ---- proposals ----

  const propose = (host: Host, action: Action | null, done: (outcome: ProposerOutcome) => void): void => {
    if (action !== null && host.busy) {
      host.waiting.push(() => propose(host, action, done))
      return
    }
    if (action !== null) host.busy = true
    const proposer = createProposer({
      self: host.node,
      first: host.first,
      round: host.round,
      action,
      plan: planById,
      random,
    })
    let over = false
    let wake = 0
    const input = (next: Parameters<typeof proposer.step>[1]): void => {
      if (over) return
      for (const effect of proposer.step(millis(now), next)) {
        if (effect.type === 'ask') {
          const voter = hosts.get(effect.voter)
          if (voter === undefined) continue
          const back = (reply: Reply): void => {
            if (voter === host)
              at(host, 0, () => input({ type: 'reply', from: voter.node, serial: effect.serial, reply }))
            else deliver(voter, host, () => input({ type: 'reply', from: voter.node, serial: effect.serial, reply }))
          }
          if (voter === host) at(host, 0, () => answer(voter, effect.request, back))
          else deliver(host, voter, () => answer(voter, effect.request, back))
        } else if (effect.type === 'wakeAt') {
          wake += 1
          const mine = wake
          at(host, Math.max(0, effect.at - now), () => {
            if (mine === wake) input({ type: 'wake' })
          })
        } else {
          over = true
          if (
            effect.first.epoch > host.first.epoch ||
            (effect.first.epoch === host.first.epoch && effect.round > host.round)
          ) {
            host.first = effect.first
            host.round = effect.round
          }
          if (effect.outcome.type === 'committed') learn(effect.outcome.value)
          if (action !== null) {
            host.busy = false
            host.waiting.shift()?.()
          }
          done(effect.outcome)
        }
      }
    }
    input({ type: 'begin' })
  }

  /** Agreement: one value to each version of an epoch, whoever says that it is committed. */
  const learn = (value: LedgerValue): void => {
    const key = `${value.epoch}.${value.version}`
    const text = `${value.generation} ${value.phase} ${value.nextToken} ${value.permits.map(permit => `${permit.token}:${permit.node.slice(-4)}`)} ${Buffer.from(value.ok).toString('hex')} ${value.voters.length}`
    const before = committed.get(key)
    if (before === undefined) committed.set(key, text)
    else if (before !== text) violations.push(`two values are committed as version ${key}: "${before}" and "${text}"`)
    if (value.epoch > newest.epoch || (value.epoch === newest.epoch && value.version > newest.version)) {
      if (value.generation < newest.generation)
        violations.push(`I4: generation ${value.generation} after ${newest.generation}`)
      newest = value
    }
    for (const host of hosts.values()) if (random.int(2) === 0) at(host, latency(), () => hear(host, value))
  }
  const hear = (host: Host, value: LedgerValue): void => {
    input(host, { type: 'ledger', value, plan: value.plan === null ? undefined : planById(value.plan) })
  }

  // ---- hosts ----

  const input = (host: Host, next: ReplacementInput): void => {
    for (const effect of host.machine.step(millis(now), next)) perform(host, effect)
  }
  const perform = (host: Host, effect: ReplacementEffect): void => {
    const later = (delay: number, run: () => ReplacementInput | undefined): void =>
      at(host, delay, () => {
        const result = run()
        if (result !== undefined) input(host, result)
      })
    switch (effect.type) {
      case 'state':
        return
      case 'wakeAt': {
        host.wakes += 1
        const mine = host.wakes
        return at(host, Math.max(0, effect.at - now), () => {
          if (mine === host.wakes) input(host, { type: 'wake' })
        })
      }
      case 'stage':
        return later(random.int(100), () => ({ type: 'staged', image: effect.image }))
      case 'ask-ready':
        return later(1, () => ({ type: 'ready', answer: 'ok', reason: '' }))
      case 'ask-permit':
        return propose(
          host,
          { type: 'grant', node: host.node, zone: 'z', unavailable: [], now: millis(now) },
          outcome => {
            const permit =
              outcome.type === 'no-quorum' ? undefined : outcome.value.permits.find(held => held.node === host.node)
            if (permit === undefined) return input(host, { type: 'not-granted', refusal: 'no-quorum', reason: '' })
            grants += 1
            const before = tokenOf.get(permit.token)
            if (before !== undefined && before !== host.node)
              violations.push(`I2: token ${permit.token} was granted to two nodes`)
            tokenOf.set(permit.token, host.node)
            input(host, { type: 'granted', permit })
          },
        )
      case 'persist-intent':
        // Writes to one file happen in the order in which they were asked for.
        host.intentFreeAt = Math.max(host.intentFreeAt, now) + random.int(5)
        return later(host.intentFreeAt - now, () => {
          if (effect.intent === null) {
            host.intent = null
            return undefined
          }
          if (faulty && random.int(50) === 0) return { type: 'intent-not-persisted', reason: 'the disk is full' }
          if (broken !== 'release-unbound' || effect.intent.act !== 'release') host.intent = effect.intent
          return { type: 'intent-persisted' }
        })
      case 'drain':
        host.disrupted = true
        return later(random.int(50), () => ({ type: 'drained', answer: 'ok', reason: '' }))
      case 'undrain':
        host.disrupted = false
        return
      case 'reread':
        return propose(host, null, outcome =>
          input(host, { type: 'reread', value: outcome.type === 'committed' ? outcome.value : null }),
        )
      case 'flip':
        if (effect.actBy !== null && now > effect.actBy)
          return later(0, () => ({ type: 'flip-failed', image: effect.image, late: true, reason: '' }))
        return later(random.int(200), () => {
          host.current = effect.image
          const well = healthy || effect.image === V1
          at(host, 20, () => input(host, { type: 'health', health: well ? 'passing' : 'failing', reason: '' }))
          return { type: 'flipped', image: effect.image }
        })
      case 'confirm':
        return later(1, () => ({ type: 'confirmed', enough: true, reason: '' }))
      case 'release': {
        host.disrupted = false
        const action: Action = {
          type: 'release',
          node: host.node,
          token: effect.token,
          outcome: effect.outcome,
          reason: '',
          now: millis(now),
        }
        return propose(host, action, outcome => {
          if (outcome.type === 'no-quorum') return input(host, { type: 'not-released', gone: false, reason: '' })
          const gone = !outcome.value.permits.some(permit => permit.token === effect.token)
          input(host, outcome.type === 'committed' ? { type: 'released' } : { type: 'not-released', gone, reason: '' })
        })
      }
      case 'already':
        return propose(host, { type: 'already', node: host.node, now: millis(now) }, () => undefined)
      case 'unwell':
        return propose(host, { type: 'unwell', node: host.node, reason: '', now: millis(now) }, () => undefined)
      default:
        return effect satisfies never
    }
  }
  const boot = (host: Host): void => {
    host.alive = true
    host.life += 1
    host.silent = false
    host.busy = false
    host.waiting = []
    host.memory = broken === 'voters-forget' ? null : host.disk
    host.disk = host.memory
    host.diskFreeAt = 0
    host.machine = createReplacement({
      node: host.node,
      layer: 'app',
      current: host.current,
      intent: host.intent,
      random,
    })
    input(host, { type: 'health', health: healthy || host.current === V1 ? 'passing' : 'failing', reason: '' })
    input(host, { type: 'wake' })
    beat(host)
  }
  /** What a daemon does from time to time though nobody told it anything. */
  const beat = (host: Host): void =>
    at(host, 500 + random.int(1_500), () => {
      propose(host, null, outcome => {
        if (outcome.type === 'committed') hear(host, outcome.value)
      })
      const permit = newest.permits.find(held => held.node === host.node)
      if (permit !== undefined) input(host, { type: 'forgotten', permit })
      beat(host)
    })
  const kill = (host: Host): void => {
    host.alive = false
    agenda.add(now + random.int(2_500), () => boot(host))
  }

  // ---- faults, orders and the end ----

  const all = [...hosts.values()]
  const fault = (): void => {
    if (!faulty) return
    const host = all[random.int(all.length)]!
    switch (random.int(5)) {
      case 0:
      case 1:
        if (host.alive) kill(host)
        break
      case 2:
        side = new Map(all.map(other => [other.node, random.int(2)]))
        agenda.add(now + random.int(2_000), () => {
          side = new Map()
        })
        break
      case 3:
        host.pausedUntil = now + random.int(3_000)
        break
      default: {
        // One host hears nobody and is heard by nobody.
        side = new Map([[host.node, 1]])
        break
      }
    }
    agenda.add(now + 50 + random.int(700), fault)
  }
  /** An operator who asks again, of any host, for as long as the plan has not begun. */
  const submit = (plan: Statement<Plan>, until: number): void => {
    if (newest.generation >= plan.body.generation || now > until) return
    const host = all[random.int(all.length)]!
    if (host.alive) propose(host, { type: 'start', plan, now: millis(now) }, () => undefined)
    agenda.add(now + 500 + random.int(1_000), () => submit(plan, until))
  }
  const check = (): void => {
    let disrupted = 0
    for (const host of all) if (host.disrupted) disrupted += 1
    if (disrupted > k) violations.push(`I1: ${disrupted} are disrupted and K is ${k}`)
  }

  for (const host of all) boot(host)
  submit(plan1, Number.POSITIVE_INFINITY)
  // A second order at nearly the same moment, or much later: it may only start when the first is over.
  if (random.int(2) === 0) agenda.add(now + random.int(8_000), () => submit(plan2, EPOCH_START + 3 * FAULTS_FOR))
  if (random.int(3) === 0) {
    const voters = random.shuffle(NODES.slice(0, count)).slice(0, [1, 3, 3, 5][random.int(4)]!)
    const others = voters.length % 2 === 1 ? voters : voters.slice(1)
    agenda.add(now + random.int(6_000), () => {
      const host = all[random.int(all.length)]!
      if (host.alive) propose(host, { type: 'reconfigure', voters: others }, () => undefined)
    })
  }
  if (random.int(6) === 0) {
    agenda.add(now + random.int(6_000), () => {
      const host = all[random.int(all.length)]!
      if (host.alive) propose(host, { type: 'undo', reason: '', now: millis(now) }, () => undefined)
    })
  }
  agenda.add(now + 100 + random.int(500), fault)
  agenda.add(EPOCH_START + FAULTS_FOR, () => {
    faulty = false
    side = new Map()
    // Whoever is down for a disk's sake is restarted by its service manager.
    for (const host of all) if (host.alive && host.silent) kill(host)
  })

  const ended = (): boolean =>
    !faulty &&
    newest.permits.length === 0 &&
    (newest.phase === 'done' || newest.phase === 'rolled-back') &&
    all.every(host => host.alive)
  while (violations.length === 0 && now < EPOCH_START + FAULTS_FOR + PATIENCE && !ended()) {
    const event = agenda.next()
    if (event === undefined) break
    now = Math.max(now, event.at) as Millis
    events += 1
    event.run()
    check()
  }
  const finished = ended()
  if (!finished && violations.length === 0 && broken === undefined)
    violations.push(
      `it has not ended ${PATIENCE / 1000} s after the last fault: ${newest.phase}, permits ${newest.permits.length}`,
    )
  return { violations, took: now - EPOCH_START, events, grants, finished }
}
