import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import {
  CERTIFICATE,
  cosign,
  type Digest,
  decode,
  encode,
  FleetError,
  type FleetId,
  generateKeyPair,
  INVITE,
  type KeyPair,
  nodeIdOf,
  nodeSigner,
  open,
  PLAN,
  RECORD,
  REVOCATION,
  type StatementKind,
  SUSPICION,
  sha256,
  sign,
  VITALS,
} from '../../protocol/index.ts'
import { fleet, keys, NOW, node, record, refusal, thrown } from './fleet.ts'

interface Note {
  text: string
  blob: Uint8Array
}
const NOTE: StatementKind<Note> = {
  domain: 'test/note/1',
  schema: z.object({ text: z.string(), blob: z.custom<Uint8Array>(value => value instanceof Uint8Array) }),
  maxBytes: 2048,
}
const FLEET = 'f'.repeat(64) as FleetId
const OTHER = 'e'.repeat(64) as FleetId
const note = (text = 'hello'): Note => ({ text, blob: Uint8Array.of(1, 2, 3) })
const refused = (kind: StatementKind<unknown>, bytes: Uint8Array, code: string, message?: RegExp, of = FLEET): void =>
  expect(thrown(() => open(kind, of, bytes))).toEqual(refusal(code, message))

/** An envelope made by hand: what `sign` would never give. */
const envelope = (signed: Uint8Array, signers: readonly KeyPair[]): Uint8Array =>
  encode([signed, signers.map(key => [Uint8Array.from(Buffer.from(key.publicKey, 'hex')), key.sign(signed)])])

describe('a signed statement', () => {
  it('opens as what was said, by whom and when', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.uint8Array({ maxLength: 500 }),
        fc.integer({ min: 1, max: 4 }),
        (text, blob, count) => {
          const signers = keys(count)
          const made = sign(NOTE, FLEET, NOW, { text, blob }, signers)
          const opened = open(NOTE, FLEET, made.bytes)
          expect(opened).toMatchObject({ domain: NOTE.domain, fleet: FLEET, clock: NOW, id: made.id })
          expect(opened.signers).toEqual(signers.map(key => key.publicKey))
          expect(opened.body.text).toBe(text)
          expect(Uint8Array.from(opened.body.blob)).toEqual(blob)
          expect(opened.bytes).toEqual(Uint8Array.from(made.bytes))
        },
      ),
    )
  })

  it('is named by what was signed, however many signed it', () => {
    const [a, b] = keys(2)
    const alone = sign(NOTE, FLEET, NOW, note(), [a!])
    const both = sign(NOTE, FLEET, NOW, note(), [a!, b!])
    expect(both.id).toBe(alone.id)
    expect(sign(NOTE, FLEET, NOW, note('other'), [a!]).id).not.toBe(alone.id)
    const [signed] = decode(alone.bytes, 2048) as [Uint8Array]
    expect(alone.id).toBe(sha256(signed) as Digest)
  })

  it('keeps what it said whatever becomes of the buffer that it came in', () => {
    const buffer = Uint8Array.from(sign(NOTE, FLEET, NOW, note(), keys(1)).bytes)
    const before = Uint8Array.from(buffer)
    const opened = open(NOTE, FLEET, buffer)
    buffer.fill(0)
    expect(opened.bytes).toEqual(before)
    expect(Uint8Array.from(opened.body.blob)).toEqual(Uint8Array.of(1, 2, 3))
  })

  it('does not open with any bit of any byte changed', () => {
    const made = sign(NOTE, FLEET, NOW, note(), keys(2))
    for (let at = 0; at < made.bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const bytes = Uint8Array.from(made.bytes)
        bytes[at]! ^= 1 << bit
        const error = thrown(() => open(NOTE, FLEET, bytes))
        expect(error).toBeInstanceOf(FleetError)
        expect(['corrupt', 'unauthorized']).toContain((error as FleetError).code)
      }
    }
  })

  it('of every real kind does not open with a byte changed', () => {
    const home = fleet()
    const member = node(home, { tags: { role: 'web' } })
    const kinds: [StatementKind<never>, Uint8Array][] = [
      [INVITE, member.invite.bytes],
      [CERTIFICATE, member.certificate],
      [RECORD, sign(RECORD, home.id, NOW, record(member), [member.key]).bytes],
      [REVOCATION, sign(REVOCATION, home.id, NOW, { node: member.id, reason: 'x' }, [home.operator]).bytes],
    ] as never
    for (const [kind, bytes] of kinds) {
      expect(open(kind, home.id, bytes)).toBeDefined()
      for (let at = 0; at < bytes.length; at++) {
        const changed = Uint8Array.from(bytes)
        changed[at]! ^= 1 << (at % 8)
        expect(thrown(() => open(kind, home.id, changed))).toBeInstanceOf(FleetError)
      }
    }
  })

  it('is refused cut short, with more behind it, and as anything else than an envelope', () => {
    const { bytes } = sign(NOTE, FLEET, NOW, note(), keys(1))
    for (let end = 0; end < bytes.length; end++) refused(NOTE, bytes.subarray(0, end), 'corrupt')
    refused(NOTE, Buffer.concat([bytes, Buffer.of(0xc0)]), 'corrupt')
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), garbage => {
        refused(NOTE, garbage, 'corrupt')
      }),
      { numRuns: 1000 },
    )
    for (const value of [null, 1, [], {}, [bytes], [bytes, []], [bytes, [[]]], ['text', []], { 0: bytes, 1: [] }])
      refused(NOTE, encode(value), 'corrupt', /not a signed envelope/)
  })

  it('does not count for another kind, another fleet or no fleet', () => {
    const { bytes } = sign(NOTE, FLEET, NOW, note(), keys(1))
    refused({ ...NOTE, domain: 'test/note/2' }, bytes, 'corrupt', /expected a statement of kind test\/note\/2/)
    expect(thrown(() => open(NOTE, OTHER, bytes))).toEqual(refusal('unauthorized', /another fleet/))
    expect(thrown(() => open(NOTE, '', bytes))).toEqual(refusal('unauthorized', /another fleet/))
    const unbound = sign(NOTE, '', NOW, note(), keys(1))
    expect(thrown(() => open(NOTE, FLEET, unbound.bytes))).toEqual(refusal('unauthorized', /another fleet/))
    const domains = [INVITE, CERTIFICATE, RECORD, VITALS, SUSPICION, REVOCATION, PLAN].map(kind => kind.domain)
    expect(new Set(domains).size).toBe(domains.length)
  })

  it('needs a signature, and each one must verify', () => {
    const [a, b] = keys(2)
    const body = encode([NOTE.domain, FLEET, NOW, note()])
    refused(NOTE, envelope(body, []), 'corrupt', /not a signed envelope/)
    const stolen = encode([body, [[Uint8Array.from(Buffer.from(a!.publicKey, 'hex')), b!.sign(body)]]])
    refused(NOTE, stolen, 'unauthorized', /does not verify/)
    const half = encode([
      body,
      [
        [Uint8Array.from(Buffer.from(a!.publicKey, 'hex')), a!.sign(body)],
        [Uint8Array.from(Buffer.from(b!.publicKey, 'hex')), a!.sign(body)],
      ],
    ])
    refused(NOTE, half, 'unauthorized', /does not verify/)
  })

  it('is not signed twice by one key, nor by more than sixteen', () => {
    const key = generateKeyPair()
    const body = encode([NOTE.domain, FLEET, NOW, note()])
    refused(NOTE, envelope(body, [key, key]), 'corrupt', /twice/)
    expect(open({ ...NOTE, maxBytes: 4096 }, FLEET, envelope(body, keys(16))).signers).toHaveLength(16)
    refused({ ...NOTE, maxBytes: 4096 }, envelope(body, keys(17)), 'corrupt', /not a signed envelope/)
  })

  it.each([
    ['a clock before all clocks', [NOTE.domain, FLEET, -1, note()]],
    ['a clock that is no number', [NOTE.domain, FLEET, 'now', note()]],
    ['a clock in parts of a millisecond', [NOTE.domain, FLEET, 1.5, note()]],
    ['a clock past what can be counted', [NOTE.domain, FLEET, 2 ** 60, note()]],
    ['a clock that is not a number at all', [NOTE.domain, FLEET, Number.NaN, note()]],
    ['a fleet that is no digest', [NOTE.domain, 'fleet', NOW, note()]],
    ['a domain without end', ['x'.repeat(65), FLEET, NOW, note()]],
    ['a part too many', [NOTE.domain, FLEET, NOW, note(), 1]],
    ['a part too few', [NOTE.domain, FLEET, NOW]],
    ['a body of another shape', [NOTE.domain, FLEET, NOW, { text: 1 }]],
    ['no body', [NOTE.domain, FLEET, NOW, null]],
  ])('is refused, well signed as it is, with %s', (_, head) => {
    refused(NOTE, envelope(encode(head), keys(1)), 'corrupt')
  })

  it('is refused over its limit, on making and on opening', () => {
    const body: Note = { text: '', blob: new Uint8Array(NOTE.maxBytes) }
    expect(thrown(() => sign(NOTE, FLEET, NOW, body, keys(1)))).toEqual(refusal('too-large'))
    const { bytes } = sign({ ...NOTE, maxBytes: 8192 }, FLEET, NOW, body, keys(1))
    refused(NOTE, bytes, 'too-large', /over the limit of 2048/)
  })
})

describe('a cosigned statement', () => {
  it('has the signatures of all and is still the same statement', () => {
    const [a, b, c] = keys(3)
    const one = sign(NOTE, FLEET, NOW, note(), [a!])
    const three = cosign(NOTE, cosign(NOTE, one, b!), c!)
    const opened = open(NOTE, FLEET, three.bytes)
    expect(opened.id).toBe(one.id)
    expect(opened.signers).toEqual([a!.publicKey, b!.publicKey, c!.publicKey])
    expect(three.signers).toEqual(opened.signers)
  })

  it('is not signed twice by one key, however often it signs', () => {
    const [a, b] = keys(2)
    const twice = cosign(NOTE, cosign(NOTE, sign(NOTE, FLEET, NOW, note(), [a!]), b!), a!)
    expect(open(NOTE, FLEET, twice.bytes).signers).toEqual([b!.publicKey, a!.publicKey])
  })

  it('can be signed by one who only has the bytes', () => {
    const [a, b] = keys(2)
    const received = open(NOTE, FLEET, sign(NOTE, FLEET, NOW, note(), [a!]).bytes)
    expect(open(NOTE, FLEET, cosign(NOTE, received, b!).bytes).signers).toHaveLength(2)
  })
})

describe('the node that signed', () => {
  it('is known when it signed alone, and nobody is when several did', () => {
    const [a, b] = keys(2)
    expect(nodeSigner(sign(NOTE, FLEET, NOW, note(), [a!]))).toBe(nodeIdOf(a!.publicKey))
    expect(thrown(() => nodeSigner(sign(NOTE, FLEET, NOW, note(), [a!, b!])))).toEqual(
      refusal('unauthorized', /one signature, found 2/),
    )
  })
})
