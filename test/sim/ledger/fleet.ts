import {
  authorityFrom,
  type Digest,
  type KeyPair,
  keyPairFromSeed,
  millis,
  NO_GATES,
  type NodeId,
  nodeIdOf,
  PLAN,
  type Plan,
  POLICY,
  type Statement,
  sha256,
  sign,
} from '../../../protocol/index.ts'

// Who is there and what has been signed. Signing is slow and no part of what is examined: each plan is signed once and used by all schedules.

export const EPOCH_START = 1_700_000_000_000
const DAY = 86_400_000
const key = (fill: number): KeyPair => keyPairFromSeed(new Uint8Array(32).fill(fill))

export const NODES: readonly NodeId[] = Array.from({ length: 9 }, (_, index) =>
  nodeIdOf(key(40 + index).publicKey),
).sort()
/** The hosts of a fleet of so many; few ones are the same in all schedules. */
export function nodesOf(count: number): readonly NodeId[] {
  if (count <= NODES.length) return NODES.slice(0, count)
  const seed = (at: number): Uint8Array => Buffer.from(sha256(Buffer.from(`host ${at}`)), 'hex')
  return Array.from({ length: count }, (_, at) => nodeIdOf(keyPairFromSeed(seed(at)).publicKey)).sort()
}
export const OPERATORS = [key(9), key(10)] as const
const STRANGER = key(11)
export const V1 = sha256(Buffer.from('v1'))
export const V2 = sha256(Buffer.from('v2'))
/** The most that the policy lets be down at once, whatever a plan says. */
export const POLICY_BUDGET = 2

const policy = sign(
  POLICY,
  '',
  millis(EPOCH_START),
  {
    version: 1,
    previous: null,
    operators: OPERATORS.map(({ publicKey }) => publicKey),
    threshold: 2,
    publishers: [],
    groups: { web: { genesisVoters: NODES.slice(0, 1), maxUnavailable: POLICY_BUDGET } },
    nonce: 1,
  },
  OPERATORS,
)
export const AUTHORITY = authorityFrom([policy.bytes])

/** What differs between the plans of schedules. */
export interface Shape {
  readonly hosts: number
  readonly k: number
  readonly canary: number
  readonly maxFailed: number
  readonly generation: number
  readonly image: Digest
  readonly previous: Digest | null
  readonly force: boolean
  /** Milliseconds from the beginning; a day where it does not matter. */
  readonly notAfter?: number
  readonly group?: string
  /** 100 ms where it does not matter. */
  readonly minHealthy?: number
  readonly reason?: string
}

const bodyOf = ({ hosts, k, notAfter, group, reason, minHealthy = 100, ...rest }: Shape): Plan => ({
  ...NO_GATES,
  ...rest,
  group: group ?? 'web',
  layer: 'app',
  version: rest.image === V1 ? 'shop:v1' : 'shop:v2',
  roster: [...nodesOf(hosts)],
  strategy: rest.canary > 0 ? 'canary' : 'rolling',
  maxUnavailable: k,
  minHealthy,
  deadline: minHealthy + 1_400,
  notAfter: millis(EPOCH_START + (notAfter ?? DAY)),
  reason: reason ?? 'simulated',
})

const signed = new Map<string, Statement<Plan>>()
/** A plan by both operators, or by whoever else is named. */
export function planOf(shape: Shape, by: 'operators' | 'one-operator' | 'stranger' = 'operators'): Statement<Plan> {
  const name = JSON.stringify([shape, by])
  let plan = signed.get(name)
  if (plan === undefined) {
    const keys = by === 'operators' ? OPERATORS : by === 'stranger' ? [STRANGER] : [OPERATORS[0]]
    plan = sign(PLAN, AUTHORITY.fleet, millis(EPOCH_START), bodyOf(shape), keys)
    signed.set(name, plan)
  }
  return plan
}
