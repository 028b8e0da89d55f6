import { expect, test } from 'vitest'
import {
  cosign,
  decode,
  decodeDocument,
  documentId,
  encode,
  encodeDocument,
  generateKeyPair,
  REVOCATION,
  sha256,
  sign,
} from '../../protocol/index.ts'
import { fleet, NOW, node, refusal, thrown } from './fleet.ts'

const home = fleet()
const revocation = sign(REVOCATION, home.id, NOW, { node: node(home).id, reason: 'stolen' }, [home.operator])
const document = encodeDocument('revocation', revocation.bytes)

test('a document comes out as it went in, and is known by what was signed in it', () => {
  expect(decodeDocument(document)).toMatchObject({ kind: 'revocation' })
  expect(Buffer.compare(decodeDocument(document).statement, revocation.bytes)).toBe(0)
  expect(documentId(document)).toBe(revocation.id)
})

test('whoever adds signatures to it, or writes its lengths in another way, has made no other document', () => {
  const cosigned = cosign(REVOCATION, revocation, generateKeyPair())
  expect(documentId(encodeDocument('revocation', cosigned.bytes))).toBe(revocation.id)
  // The envelope as bytes of a length of four bytes where one would do.
  const { byteLength } = revocation.bytes
  const length = Buffer.alloc(5, 0xc6)
  length.writeUInt32BE(byteLength, 1)
  const long = Buffer.concat([Buffer.from([0x92]), encode('revocation'), length, revocation.bytes])
  expect(decode(long, 10_000)).toHaveLength(2)
  expect(documentId(long)).toBe(revocation.id)
  const other = sign(REVOCATION, home.id, NOW, { node: node(home).id, reason: 'stolen' }, [home.operator])
  expect(documentId(encodeDocument('revocation', other.bytes))).not.toBe(revocation.id)
})

test.each([
  ['nothing', new Uint8Array()],
  ['another kind', encode(['order', revocation.bytes])],
  ['something behind it', encode(['revocation', revocation.bytes, 1])],
  ['no bytes in it', encode(['revocation', 'text'])],
])('%s is no document, and is known by its digest', (_, bytes) => {
  expect(thrown(() => decodeDocument(bytes))).toEqual(refusal('corrupt'))
  expect(documentId(bytes)).toBe(sha256(bytes))
})
