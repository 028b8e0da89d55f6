import {
  type Admitted,
  type Authority,
  assertWithinInvite,
  authorityFrom,
  certify,
  checkCertificate,
  FleetError,
  type FleetId,
  type InviteToken,
  type KeyPair,
  type Millis,
  type NodeId,
  type NodeRecord,
  nodeIdOf,
  type Statement,
  type StatementKind,
  sign,
  toFleetError,
  withKeptRevocation,
  withPolicy,
  withRevocation,
} from '../../protocol/index.ts'
import type { Admission } from '../network/index.ts'

/** What a node keeps of its place in a fleet. */
export interface Membership {
  readonly chain: readonly Uint8Array[]
  readonly certificate: Uint8Array
}

/** Where trust is kept. Each promise resolves once the disk has it. */
export interface TrustStore {
  saveMembership(membership: Membership): Promise<void>
  saveRevocations(revocations: readonly Uint8Array[]): Promise<void>
}

export type Labels = Pick<NodeRecord, 'class' | 'group' | 'zone' | 'tags'>

/**
 * This node's place in its fleet and its judgement of others: the one owner of the `Authority`. Unclaimed until it is
 * given a token; after that it never changes fleets.
 */
export interface Trust extends Admission {
  readonly self: NodeId
  /** Undefined while the daemon belongs to no fleet. */
  authority(): Authority | undefined
  /** Throws `unclaimed` while the daemon belongs to no fleet. */
  demand(): Authority
  /** Makes this node a member with an invite. Throws when it is a member of another fleet already; a no-op in the same one. */
  enter(token: InviteToken): Promise<void>
  /** The bounds that this node's invite sets, narrowed onto what its configuration says. Throws when they contradict. */
  bound(configured: Labels, defaults: Labels): Labels
  /** Takes a newer policy. True when it was new. */
  acceptPolicy(bytes: Uint8Array): Promise<boolean>
  /** Takes a revocation. Gives the node when it was new. */
  acceptRevocation(bytes: Uint8Array): Promise<NodeId | undefined>
  /** Signs a statement of this node. */
  sign<T>(kind: StatementKind<T>, body: T): Statement<T>
}

export interface TrustInit {
  readonly key: KeyPair
  readonly store: TrustStore
  readonly membership: Membership | undefined
  readonly revocations: readonly Uint8Array[]
  readonly now: () => Millis
  /** True for a node whose certificate members already know: it stays good after its invite has expired. */
  readonly known: (node: NodeId) => boolean
  readonly onChange: () => void
}

export function createTrust(init: TrustInit): Trust {
  const { key, store, now, known, onChange } = init
  const self = nodeIdOf(key.publicKey)
  let certificate: Uint8Array | undefined
  let authority: Authority | undefined
  if (init.membership !== undefined) {
    authority = init.revocations.reduce(withKeptRevocation, authorityFrom(init.membership.chain))
    certificate = init.membership.certificate
  }

  // Changes wait for one another: each starts from what the one before has saved.
  let turn: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const mine = turn.then(change)
    turn = mine.catch(() => undefined)
    return mine
  }

  const demand = (): Authority => {
    if (authority === undefined) {
      throw new FleetError(
        'unclaimed',
        'this daemon belongs to no fleet yet; make one with "fleetctl init" or join one with "fleetctl join TOKEN"',
      )
    }
    return authority
  }
  const own = (): Admitted => checkCertificate(demand(), certificate!, now())

  return {
    self,
    authority: () => authority,
    demand,
    credentials: () =>
      authority === undefined || certificate === undefined ? undefined : { fleet: authority.fleet, certificate },

    judge(node, shown) {
      if (authority === undefined) return { admitted: false, reason: 'this daemon belongs to no fleet yet' }
      try {
        const admitted = checkCertificate(authority, shown, now())
        if (admitted.node !== node) return { admitted: false, reason: 'it showed the certificate of another node' }
        if (!admitted.fresh && !known(node))
          return { admitted: false, reason: 'its invite has expired and nobody here has met it before' }
        return { admitted: true }
      } catch (error) {
        return { admitted: false, reason: toFleetError(error).message }
      }
    },

    enter: token =>
      inTurn(async () => {
        if (authority !== undefined) {
          if (authority.fleet === token.fleet) return
          throw new FleetError(
            'refused',
            `this daemon is a member of fleet ${short(authority.fleet)} and the token is for fleet ${short(token.fleet)}; a daemon changes fleets only with an empty data directory`,
          )
        }
        const made = certify(token, self, now())
        const joined = authorityFrom(token.chain)
        await store.saveMembership({ chain: token.chain, certificate: made.bytes })
        authority = joined
        certificate = made.bytes
        onChange()
      }),

    bound(configured, defaults) {
      const { invite } = own()
      const pick = <K extends 'class' | 'group' | 'zone'>(field: K): Labels[K] =>
        configured[field] === defaults[field]
          ? ((invite.body[field] as Labels[K] | undefined) ?? configured[field])
          : configured[field]
      const labels: Labels = {
        class: pick('class'),
        group: pick('group'),
        zone: pick('zone'),
        tags: { ...configured.tags, ...invite.body.tags },
      }
      assertWithinInvite(labels, invite.body)
      return labels
    },

    acceptPolicy: bytes =>
      inTurn(async () => {
        const before = demand()
        const after = withPolicy(before, bytes)
        if (after === before) return false
        await store.saveMembership({ chain: after.chain.map(policy => policy.bytes), certificate: certificate! })
        authority = after
        onChange()
        return true
      }),

    acceptRevocation: bytes =>
      inTurn(async () => {
        const before = demand()
        const after = withRevocation(before, bytes)
        if (after === before) return undefined
        await store.saveRevocations([...after.revoked.values()].map(revocation => revocation.bytes))
        authority = after
        onChange()
        return [...after.revoked.keys()].find(node => !before.revoked.has(node))
      }),

    sign: (kind, body) => sign(kind, demand().fleet, now(), body, [key]),
  }
}

const short = (fleet: FleetId): string => fleet.slice(0, 12)
