import {
  type Authority,
  decodeDocument,
  openPlan,
  openRecovery,
  withPolicy,
  withRevocation,
} from '../../protocol/index.ts'

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
    case 'recovery':
      openRecovery(authority, statement)
      return
    default:
      return kind satisfies never
  }
}
