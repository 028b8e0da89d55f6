import { expect, test } from 'vitest'
import { decodeFrame, encodeFrame, type Frame } from '../../membership/frames.ts'
import type { MembershipEffect } from '../../membership/index.ts'
import { documentId, encode, encodeDocument } from '../../protocol/index.ts'
import { bench, nodeNumber, record } from './support.ts'

const [A, B] = [nodeNumber(1), nodeNumber(2)]
const signed = encode(['an order', 1])
/** The same word under one signature or another. */
const under = (signature: number): Uint8Array =>
  encodeDocument('plan', encode([signed, [[new Uint8Array(32).fill(signature), new Uint8Array(64)]]]))
const [good, varied, forged] = [under(1), under(2), under(3)]

const sent = (effects: readonly MembershipEffect[]): Frame[] =>
  effects.flatMap(effect => (effect.type === 'send' ? [decodeFrame(effect.frame)] : []))

function linked() {
  const one = bench({
    open: (kind, bytes) => (kind === 'document' && Buffer.compare(bytes, forged) !== 0 ? { kind, bytes } : undefined),
  })
  for (const node of [A, B]) {
    one.hear({ kind: 'record', statement: record(node) })
    one.give({ type: 'linkUp', peer: node })
  }
  const frame = (peer: typeof A, each: Frame) => one.give({ type: 'frame', peer, frame: encodeFrame(each) })
  return { one, frame }
}

test("an operator's word under other signatures is no second document", () => {
  const { one } = linked()
  expect(one.hear({ kind: 'document', bytes: good })).toContainEqual({ type: 'document', bytes: good })
  expect(one.hear({ kind: 'document', bytes: varied })).not.toContainEqual({ type: 'document', bytes: varied })
  expect(one.machine.news({ kind: 'document', bytes: varied })).toBe(false)
  expect(one.machine.stats()).toMatchObject({ documents: 1, documentBytes: good.byteLength })
})

test('who sends a forgery in its place is not asked again for a while, and everybody else is', () => {
  const { frame } = linked()
  const offer: Frame = { type: 'offer', members: [], documents: [documentId(good)] }
  const want = { type: 'want', members: [], documents: [documentId(good)] }
  expect(sent(frame(A, offer))).toContainEqual(want)
  expect(frame(A, { type: 'items', items: [['document', forged]], last: true })).not.toContainEqual(
    expect.objectContaining({ type: 'document' }),
  )
  expect(sent(frame(A, offer))).not.toContainEqual(want)
  expect(sent(frame(B, offer))).toContainEqual(want)
  expect(frame(B, { type: 'items', items: [['document', good]], last: true })).toContainEqual({
    type: 'document',
    bytes: Buffer.from(good),
  })
})

test('another policy lets it ask again at once for what was not to be believed, and compare with somebody soon', () => {
  const { one, frame } = linked()
  const offer: Frame = { type: 'offer', members: [], documents: [documentId(good)] }
  const want = { type: 'want', members: [], documents: [documentId(good)] }
  frame(A, offer)
  frame(A, { type: 'items', items: [['document', forged]], last: true })
  expect(sent(frame(A, offer))).not.toContainEqual(want)
  one.give({ type: 'policy' })
  expect(sent(frame(A, offer))).toContainEqual(want)
  expect(sent(one.pass(500))).toContainEqual(expect.objectContaining({ type: 'digest' }))
})
