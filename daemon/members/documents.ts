import {
  type Authority,
  decode,
  encode,
  FleetError,
  LIMITS,
  openPlan,
  withPolicy,
  withRevocation,
} from '../../protocol/index.ts'

/** What the fleet keeps for ever and passes on to whoever lacks it: an operator's signed word, with its kind in front. */
export type DocumentKind = 'plan' | 'policy' | 'revocation'

export const encodeDocument = (kind: DocumentKind, statement: Uint8Array): Uint8Array => encode([kind, statement])

/** Throws `corrupt` or `too-large`. */
export function decodeDocument(bytes: Uint8Array): { kind: DocumentKind; statement: Uint8Array } {
  const raw = decode(bytes, LIMITS.plan + 1024)
  if (
    Array.isArray(raw) &&
    (raw[0] === 'plan' || raw[0] === 'policy' || raw[0] === 'revocation') &&
    raw[1] instanceof Uint8Array
  ) {
    return { kind: raw[0], statement: raw[1] }
  }
  throw new FleetError('corrupt', 'not a document of the fleet')
}

/** Throws unless the document is well signed by who may say it, and can be taken now. */
export function checkDocument(authority: Authority, bytes: Uint8Array): void {
  const { kind, statement } = decodeDocument(bytes)
  switch (kind) {
    case 'plan':
      openPlan(authority, statement)
      return
    case 'policy':
      // One that is in the chain already is no news and no fault.
      if (!authority.chain.some(policy => Buffer.compare(policy.bytes, statement) === 0))
        withPolicy(authority, statement)
      return
    case 'revocation':
      withRevocation(authority, statement)
      return
    default:
      return kind satisfies never
  }
}
