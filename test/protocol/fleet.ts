import {
  type Authority,
  authorityFrom,
  CERTIFICATE,
  type FleetId,
  generateKeyPair,
  INVITE,
  type Invite,
  type KeyPair,
  type Millis,
  millis,
  type NodeRecord,
  nodeIdOf,
  POLICY,
  type Policy,
  RECORD,
  type Statement,
  sign,
} from '../../protocol/index.ts'

/** The time at which everything here happens. */
export const NOW = millis(Date.UTC(2030, 0, 1))
export const HOUR = 3_600_000
export const at = (offset: number): Millis => millis(NOW + offset)

export const keys = (count: number): KeyPair[] => Array.from({ length: count }, generateKeyPair)

export function policy(operators: readonly KeyPair[], rest: Partial<Policy> = {}): Policy {
  return {
    version: 1,
    previous: null,
    operators: operators.map(key => key.publicKey),
    threshold: 1,
    publishers: [],
    groups: {},
    nonce: 1,
    ...rest,
  }
}

/** A fleet of its own: its operator, its authority, and what it takes to bring nodes in. */
export interface TestFleet {
  readonly operator: KeyPair
  readonly first: Statement<Policy>
  readonly authority: Authority
  readonly id: FleetId
}

export function fleet(operator: KeyPair = generateKeyPair(), rest: Partial<Policy> = {}): TestFleet {
  const first = sign(POLICY, '', NOW, policy([operator], rest), [operator])
  const authority = authorityFrom([first.bytes])
  return { operator, first, authority, id: authority.fleet }
}

/** The policy that follows `before`, signed by `signers`. */
export function nextPolicy(
  of: TestFleet,
  before: Statement<Policy>,
  operators: readonly KeyPair[],
  signers: readonly KeyPair[],
  rest: Partial<Policy> = {},
): Statement<Policy> {
  return sign(
    POLICY,
    of.id,
    NOW,
    policy(operators, { version: before.body.version + 1, previous: before.id, ...rest }),
    signers,
  )
}

export interface Node {
  readonly key: KeyPair
  readonly id: ReturnType<typeof nodeIdOf>
  readonly inviteKey: KeyPair
  readonly invite: Statement<Invite>
  readonly certificate: Uint8Array
}

export function node(
  of: TestFleet,
  bounds: Partial<Invite> = {},
  signer: KeyPair = of.operator,
  fleetId: FleetId = of.id,
): Node {
  const key = generateKeyPair()
  const id = nodeIdOf(key.publicKey)
  const inviteKey = generateKeyPair()
  const invite = sign(INVITE, fleetId, NOW, { key: inviteKey.publicKey, expires: at(HOUR), ...bounds }, [signer])
  const certificate = sign(CERTIFICATE, fleetId, NOW, { node: id, invite: invite.bytes }, [inviteKey])
  return { key, id, inviteKey, invite, certificate: certificate.bytes }
}

export function record(of: Pick<Node, 'id' | 'certificate'>, rest: Partial<NodeRecord> = {}): NodeRecord {
  return {
    node: of.id,
    epoch: 1,
    seq: 1,
    presence: 'here',
    name: 'n1',
    addresses: [],
    class: 'cloud',
    zone: 'default',
    group: 'default',
    tags: {},
    version: '0.1.0',
    certificate: of.certificate,
    ...rest,
  }
}

export function signedRecord(of: TestFleet, by: Node, rest: Partial<NodeRecord> = {}): Uint8Array {
  return sign(RECORD, of.id, NOW, record(by, rest), [by.key]).bytes
}

/** Matches a FleetError with this code. */
export const refusal = (code: string, message: RegExp = /./): object => ({
  asymmetricMatch: (error: unknown) =>
    error instanceof Error &&
    error.name === 'FleetError' &&
    (error as Error & { code?: string }).code === code &&
    message.test(error.message),
  toString: () => `FleetError ${code} ${message}`,
})

/** What `work` threw. Fails when it threw nothing. */
export function thrown(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('expected a refusal, and nothing was thrown')
}
