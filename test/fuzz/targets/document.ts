import { checkDocument } from '../../../daemon/members/documents.ts'
import { type DocumentKind, decodeDocument, encodeDocument, LIMITS } from '../../../protocol/index.ts'
import { assertSame, HOSTILE, type Target } from '../target.ts'
import { parse } from '../tree.ts'
import { AUTHORITY } from '../world.ts'
import { resign, STATEMENTS } from './statement.ts'

const KIND: Readonly<Record<string, DocumentKind>> = {
  'fleetd/plan/1': 'plan',
  'fleetd/policy/1': 'policy',
  'fleetd/revocation/1': 'revocation',
  'fleetd/recovery/1': 'recovery',
}

/** What the fleet keeps for ever. */
export const document: Target = {
  name: 'document',
  maxBytes: LIMITS.plan + 2_048,
  refusals: ['corrupt', 'too-large', 'unauthorized', 'conflict'],
  seeds: () => [
    ...HOSTILE,
    ...STATEMENTS.flatMap(({ domain, bytes }) => {
      const kind = KIND[domain]
      return kind === undefined ? [] : [encodeDocument(kind, bytes)]
    }),
  ],
  run: input => checkDocument(AUTHORITY, input),
  verify(_: never, input) {
    const decoded = decodeDocument(input)
    assertSame('a document', decoded, decodeDocument(encodeDocument(decoded.kind, decoded.statement)))
  },
  mend(input) {
    const tree = parse(input)
    if (!Array.isArray(tree) || typeof tree[0] !== 'string' || !(tree[1] instanceof Uint8Array)) return input
    return encodeDocument(tree[0] as DocumentKind, resign(tree[1]))
  },
}
