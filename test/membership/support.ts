import type { Heard, MembershipInit } from '../../membership/index.ts'
import {
  createMembership,
  lan,
  type Membership,
  type MembershipEffect,
  type MembershipInput,
} from '../../membership/index.ts'
import {
  type Address,
  DISMISSAL,
  type Dismissal,
  encode,
  type FleetId,
  millis,
  type NodeId,
  type NodeRecord,
  nodeIdOf,
  type PublicKey,
  RECORD,
  type Statement,
  type StatementKind,
  SUSPICION,
  type Suspicion,
  seededRandom,
  sha256,
  VITALS,
  type Vitals,
} from '../../protocol/index.ts'

/** Statements that nobody signed: the machine is only ever given what was verified, so it does not look. */
export const T0 = 1_750_000_000_000

export const nodeNumber = (index: number): NodeId =>
  nodeIdOf(sha256(Buffer.from(`test node ${index}`)) as string as PublicKey)

export function unsigned<T>(kind: StatementKind<T>, body: T, clock = T0): Statement<T> {
  const bytes = encode([kind.domain, clock, body])
  return {
    bytes,
    id: sha256(bytes),
    domain: kind.domain,
    fleet: '' as FleetId | '',
    clock: millis(clock),
    signers: [],
    body,
  }
}

export const record = (node: NodeId, change: Partial<NodeRecord> = {}, clock = T0): Statement<NodeRecord> =>
  unsigned(
    RECORD,
    {
      node,
      epoch: 1,
      seq: 1,
      presence: 'here',
      name: 'n',
      addresses: ['/ip4/10.0.0.1/tcp/7946' as Address],
      class: 'cloud',
      zone: 'z',
      group: 'g',
      tags: {},
      version: '1',
      certificate: new Uint8Array(),
      ...change,
    },
    clock,
  )

export const vitals = (node: NodeId, change: Partial<Vitals> = {}): Statement<Vitals> =>
  unsigned(VITALS, {
    node,
    epoch: 1,
    seq: 1,
    health: 'passing',
    reason: '',
    layers: [],
    images: [],
    taint: [],
    ...change,
  })

export const suspicion = (subject: NodeId, change: Partial<Suspicion> = {}, clock = T0): Statement<Suspicion> =>
  unsigned(SUSPICION, { subject, epoch: 1, seq: 1, evidence: 'silence', since: millis(clock), ...change }, clock)

export const dismissal = (subject: NodeId, change: Partial<Dismissal> = {}): Statement<Dismissal> =>
  unsigned(DISMISSAL, { subject, epoch: 1, seq: 1, presence: 'here', prune: false, ...change })

/** One machine whose inputs are given by hand, and what it did about them. */
export interface Bench {
  readonly machine: Membership
  readonly self: NodeId
  now: number
  /** Gives an input now, and returns the effects. */
  give(input: MembershipInput): MembershipEffect[]
  hear(heard: Heard): MembershipEffect[]
  /** Lets time pass, waking the machine whenever it asked to. Returns all effects. */
  pass(milliseconds: number): MembershipEffect[]
  status(node: NodeId): string | undefined
}

export function bench(change: Partial<MembershipInit> = {}): Bench {
  const self = nodeNumber(0)
  let wakeAt = T0
  const machine = createMembership({
    self,
    profile: lan(),
    random: seededRandom(7),
    epoch: 1,
    record: {
      name: 'self',
      addresses: ['/ip4/10.0.0.9/tcp/7946' as Address],
      class: 'cloud',
      zone: 'z',
      group: 'g',
      tags: {},
      version: '1',
      certificate: new Uint8Array(),
    },
    now: millis(T0),
    sign: (kind, body) => unsigned(kind, body),
    open: () => undefined,
    peers: [],
    ...change,
  })
  const result: Bench = {
    machine,
    self,
    now: T0,
    give(input) {
      const effects = machine.step(millis(result.now), input)
      for (const effect of effects) if (effect.type === 'wakeAt') wakeAt = effect.at
      return effects
    },
    hear: heard => result.give({ type: 'gossip', heard }),
    pass(milliseconds) {
      const end = result.now + milliseconds
      const all: MembershipEffect[] = []
      while (wakeAt <= end) {
        result.now = Math.max(result.now, wakeAt)
        all.push(...result.give({ type: 'wake', late: 0 }))
      }
      result.now = end
      return all
    },
    status: node => machine.member(node)?.status,
  }
  result.give({ type: 'wake', late: 0 })
  return result
}

export const eventsOf = (effects: readonly MembershipEffect[], node: NodeId): string[] =>
  effects.flatMap(effect => (effect.type === 'event' && effect.member.id === node ? [effect.event] : []))
