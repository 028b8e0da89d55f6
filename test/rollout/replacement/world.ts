import {
  type Digest,
  type KeyPair,
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
} from '../../../protocol/index.ts'
import {
  type Action,
  apply,
  type Conditions,
  createReplacement,
  genesis,
  type Intent,
  isRefusal,
  type LedgerValue,
  type Mark,
  type Replacement,
  type ReplacementEffect,
  type ReplacementInput,
} from '../../../rollout/index.ts'

// Many hosts with the real replacement machine and the real reducer, under a virtual clock. The register is one
// atomic cell that may be unreachable: what several voters do to it is the ledger simulator's subject, not this one's.

export const image = (name: string): Digest => sha256(Buffer.from(name))
const operator: KeyPair = keyPairFromSeed(new Uint8Array(32).fill(7))
const FLEET = sha256(Buffer.from('fleet')) as string as never

export interface Host {
  readonly node: NodeId
  machine: Replacement
  current: Digest | null
  intent: Intent | null
  /** Why its slot is to be put in place afresh; a flip ends it, and it outlives the daemon. */
  mark: Mark | null
  /** Flips that took place. */
  flips: number
  /** What it ran, one after the other. */
  ran: Digest[]
  /** What its other layers run. */
  beside: Record<string, Digest | null>
  /** In service: not drained, not between images. */
  up: boolean
  /** Under a permit's cover and not yet back: what I1 counts. */
  disrupted: boolean
  alive: boolean
  /** Counts the lives of its daemon: what an earlier life had under way comes to nothing. */
  life: number
}

export interface Faults {
  /** Chance that the register cannot be reached. */
  readonly noQuorum: number
  /** Chance, at each effect, that the daemon is killed right before it takes place. */
  readonly crash: number
  /** Chance that a flip fails. */
  readonly flipFails: number
}

export interface World {
  readonly hosts: Host[]
  value: LedgerValue
  readonly violations: string[]
  now: Millis
  submit(plan: Statement<Plan>): void
  mark(host: Host, mark: Mark): void
  /** Another layer of the host runs this from now on. */
  beside(host: Host, layer: string, image: Digest): void
  act(action: Action): ReturnType<typeof apply>
  /** Runs until `done`, at most so many virtual seconds. True when it came to be. */
  run(done: () => boolean, seconds: number): boolean
  setFaults(faults: Faults): void
  maxDisrupted: number
}

export function createWorld(
  count: number,
  seed: number,
  options: {
    healthy: (image: Digest, host: number) => boolean
    faults: Faults
    readonly initial: Digest | null
    readonly conditions?: (image: Digest) => Conditions
  },
): World {
  const random: Random = seededRandom(seed)
  let faults = options.faults
  const queue: { at: number; order: number; run: () => void }[] = []
  let order = 0
  let plan: Statement<Plan> | undefined
  const plans = new Map<Digest, Statement<Plan>>()
  const after = (ms: number, run: () => void): void => {
    queue.push({ at: world.now + ms, order: order++, run })
  }
  const hosts: Host[] = Array.from({ length: count }, (_, index) => {
    const node = nodeIdOf(keyPairFromSeed(new Uint8Array(32).fill(index + 20)).publicKey)
    return {
      node,
      machine: undefined as never,
      current: options.initial,
      intent: null,
      mark: null,
      flips: 0,
      ran: [],
      beside: {},
      up: true,
      disrupted: false,
      alive: true,
      life: 0,
    }
  })

  const world: World = {
    hosts,
    value: { ...genesis('web', [hosts[0]!.node]), targets: options.initial === null ? {} : { app: options.initial } },
    violations: [],
    now: millis(1_700_000_000_000),
    maxDisrupted: 0,
    setFaults(next) {
      faults = next
    },
    submit(next) {
      plan = next
      plans.set(next.id, next)
      const result = world.act({ type: 'start', plan: next, now: world.now })
      if (isRefusal(result)) throw new Error(result.reason)
    },
    mark(host, mark) {
      host.mark = mark
      if (host.alive) input(host, { type: 'marked', mark })
    },
    beside(host, layer, image) {
      host.beside[layer] = image
      if (host.alive) input(host, { type: 'beside', layers: host.beside })
    },
    act(action) {
      const result = apply(world.value, action, action.type === 'start' ? action.plan.body : plan?.body)
      if (!isRefusal(result)) {
        world.value = result
        for (const host of hosts) after(1 + random.int(50), () => observe(host))
      }
      return result
    },
    run(done, seconds) {
      const end = world.now + seconds * 1000
      while (!done()) {
        queue.sort((a, b) => a.at - b.at || a.order - b.order)
        const next = queue.shift()
        if (next === undefined || next.at > end) return done()
        world.now = millis(Math.max(world.now, next.at))
        next.run()
        check()
      }
      return true
    },
  }

  const check = (): void => {
    const disrupted = hosts.filter(host => host.disrupted)
    world.maxDisrupted = Math.max(world.maxDisrupted, disrupted.length)
    if (plan !== undefined && disrupted.length > plan.body.maxUnavailable)
      world.violations.push(`I1: ${disrupted.length} disrupted with K = ${plan.body.maxUnavailable}`)
    for (const host of disrupted) {
      if (!world.value.permits.some(permit => permit.node === host.node))
        world.violations.push(`I2: a host is disrupted without a permit in the register`)
    }
  }

  const observe = (host: Host): void => {
    if (host.alive) input(host, { type: 'ledger', value: world.value, plan })
  }

  const input = (host: Host, next: ReplacementInput): void => {
    for (const effect of host.machine.step(world.now, next)) perform(host, effect)
  }

  const perform = (host: Host, effect: ReplacementEffect): void => {
    const { life } = host
    if (!host.alive) return
    if (effect.type !== 'state' && effect.type !== 'wakeAt' && random.float() < faults.crash) return crash(host)
    const later = (ms: number, run: () => ReplacementInput | undefined): void =>
      after(ms, () => {
        if (!host.alive || host.life !== life) return
        const result = run()
        if (result !== undefined) input(host, result)
      })
    const reachable = (): boolean => random.float() >= faults.noQuorum
    switch (effect.type) {
      case 'state':
        return
      case 'wakeAt':
        return later(Math.max(0, effect.at - world.now), () => ({ type: 'wake' }))
      case 'stage':
        return later(random.int(2_000), () => ({
          type: 'staged',
          image: effect.image,
          ...(options.conditions === undefined ? {} : { conditions: options.conditions(effect.image) }),
        }))
      case 'ask-ready':
        return later(random.int(100), () => ({
          type: 'ready',
          answer: random.float() < 0.9 ? 'ok' : 'busy',
          reason: '',
        }))
      case 'ask-permit':
        return later(random.int(100), () => {
          if (!reachable()) return { type: 'not-granted', refusal: 'no-quorum', reason: 'no quorum' }
          const renew = effect.renew ? ({ renew: true } as const) : {}
          const result = world.act({
            ...{ type: 'grant', node: host.node, zone: 'z', unavailable: [], ...renew, now: world.now },
          })
          const permit = world.value.permits.find(held => held.node === host.node)
          if (permit === undefined)
            return { type: 'not-granted', refusal: isRefusal(result) ? result : 'no-quorum', reason: 'refused' }
          return { type: 'granted', permit }
        })
      case 'persist-intent':
        return later(random.int(20), () => {
          host.intent = effect.intent
          return effect.intent === null ? undefined : { type: 'intent-persisted' }
        })
      case 'drain':
        host.disrupted = true
        host.up = false
        return later(random.int(500), () => ({ type: 'drained', answer: 'ok', reason: '' }))
      case 'undrain':
        return later(random.int(500), () => {
          host.up = true
          host.disrupted = false
          return { type: 'undrained' }
        })
      case 'reread':
        return later(random.int(100), () => ({
          type: 'reread',
          asked: effect.asked,
          value: reachable() ? world.value : null,
        }))
      case 'flip':
        return later(random.int(1_000), () => {
          if (random.float() < faults.flipFails)
            return { type: 'flip-failed', image: effect.image, why: 'failed', reason: 'the flip failed' }
          host.current = effect.image
          host.flips += 1
          host.ran.push(effect.image)
          host.mark = null
          input(host, { type: 'marked', mark: null })
          host.up = options.healthy(effect.image, hosts.indexOf(host))
          later(200, () => ({
            type: 'health',
            health: host.up ? 'passing' : 'failing',
            reason: host.up ? '' : 'http 500',
          }))
          return { type: 'flipped', image: effect.image }
        })
      case 'confirm':
        return later(random.int(100), () => ({ type: 'confirmed', enough: true, reason: '' }))
      case 'release':
        return later(random.int(100), () => {
          if (!reachable()) return { type: 'not-released', gone: false, reason: 'no quorum' }
          // The node is back in service: from here on its permit is no longer needed.
          host.disrupted = false
          const result = world.act({
            type: 'release',
            node: host.node,
            token: effect.token,
            outcome: effect.outcome,
            reason: effect.reason,
            now: world.now,
          })
          return isRefusal(result) ? { type: 'not-released', gone: true, reason: result.reason } : { type: 'released' }
        })
      case 'already':
        return later(random.int(100), () => {
          if (reachable()) world.act({ ...effect, node: host.node, now: world.now })
          return undefined
        })
      case 'unwell':
        return later(random.int(100), () => {
          if (reachable()) world.act({ ...effect, node: host.node, now: world.now })
          return undefined
        })
      default:
        return effect satisfies never
    }
  }

  const boot = (host: Host): void => {
    host.alive = true
    host.machine = createReplacement({
      node: host.node,
      layer: 'app',
      current: host.current,
      intent: host.intent,
      mark: host.mark,
      random: seededRandom(random.int(2 ** 30)),
    })
    input(host, {
      type: 'health',
      health:
        host.current === null ? 'unknown' : options.healthy(host.current, hosts.indexOf(host)) ? 'passing' : 'failing',
      reason: '',
    })
    input(host, { type: 'beside', layers: host.beside })
    input(host, { type: 'wake' })
    after(random.int(500), () => observe(host))
  }
  const crash = (host: Host): void => {
    host.alive = false
    host.life += 1
    after(random.int(5_000), () => boot(host))
  }
  // What the daemon hears from time to time even when no notice reaches it.
  const beat = (host: Host): void => {
    observe(host)
    after(2_000 + random.int(2_000), () => beat(host))
  }
  for (const host of hosts) {
    boot(host)
    beat(host)
  }
  return world
}

export function planFor(world: World, body: Partial<Plan> & { image: Digest }): Statement<Plan> {
  return sign(
    PLAN,
    FLEET,
    world.now,
    {
      ...NO_GATES,
      group: 'web',
      generation: world.value.generation + 1,
      layer: 'app',
      version: 'shop:x',
      previous: world.value.targets.app ?? null,
      roster: world.hosts.map(host => host.node),
      strategy: 'rolling',
      canary: 0,
      maxUnavailable: 2,
      minHealthy: 1_000,
      deadline: 20_000,
      maxFailed: 1,
      notAfter: millis(world.now + 86_400_000),
      force: false,
      reason: 'test',
      ...body,
    },
    [operator],
  )
}
