import { decodeEventFrame, type EventFrame, encodeEventFrame } from '../../../membership/events/frames.ts'
import {
  BUCKETS,
  decodeFrame,
  decodeGossip,
  encodeFrame,
  encodeGossip,
  type Frame,
  type Item,
  type Key,
} from '../../../membership/frames.ts'
import { encode, LIMITS } from '../../../protocol/index.ts'
import { image } from '../../rollout/ledger/fixtures.ts'
import { assertSame, HOSTILE, nils, type Target } from '../target.ts'
import { NODE, PEER } from '../world.ts'
import { STATEMENTS } from './statement.ts'

const key = (claims: number[]): Key => ({
  node: NODE,
  record: [1, 0, 2, 3],
  vitals: [1, 1, 4, 0xffff_ffff],
  claims,
})

/** What a neighbour says on its link. */
export const linkFrame: Target = {
  name: 'link-frame',
  maxBytes: LIMITS.linkFrame + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encodeFrame({ type: 'beat' }),
    encodeFrame({ type: 'probe', serial: 1 }),
    encodeFrame({
      type: 'ack',
      serial: 0xffff_ffff,
      coordinate: { vector: [0.01, -0.02, 0, 0, 0, 0, 0, 1], error: 0.3, adjustment: -0.001, height: 0.000_01 },
    }),
    encodeFrame({ type: 'relay', serial: 7, subject: PEER }),
    encodeFrame({ type: 'relayed', serial: 7, alive: false }),
    encodeFrame({ type: 'digest', digests: Array.from({ length: 2 * BUCKETS }, (_, index) => index - 5) }),
    encodeFrame({ type: 'keys', buckets: [0, 63], members: [key([]), key([1, 2])], documents: [image('a')] }),
    encodeFrame({ type: 'offer', members: [key([9])], documents: [image('a')] }),
    encodeFrame({ type: 'want', members: [NODE, PEER], documents: [image('a')] }),
    encodeFrame({
      type: 'items',
      items: [
        ['record', Uint8Array.of(1)],
        ['document', new Uint8Array(9)],
      ],
      last: true,
    }),
    encode(['items', { length: { toString: 1 } }, true]),
    encode(['digest', nils(500_000)]),
    encode(['keys', nils(500_000), [], []]),
    encode(['keys', [], new Array(2_048).fill([NODE, [1, 0, 2, 3], null, nils(150)]), []]),
    encode(['keys', [], new Array(2_048).fill([NODE, [1, 0, 2, 3], null, new Array(64).fill(1)]), []]),
    encode(['want', new Array(8_000).fill('x'.repeat(60)), []]),
    encode(['items', new Array(2_048).fill(['record', new Uint8Array(200)]), true]),
  ],
  run: decodeFrame,
  verify: (frame: Frame) => assertSame(frame.type, frame, decodeFrame(encodeFrame(frame))),
}

/** What a neighbour says on its link about events. */
export const eventFrame: Target = {
  name: 'event-frame',
  maxBytes: LIMITS.linkFrame + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE.map(bytes => Uint8Array.from([0xc1, ...bytes])),
    encodeEventFrame({ type: 'digest', digests: Array.from({ length: 16 }, (_, index) => index * 9) }),
    encodeEventFrame({ type: 'vector', buckets: [0, 15], entries: [[NODE, 7, 1]], last: true }),
    encodeEventFrame({ type: 'ahead', entries: [[PEER, 2, 1]] }),
    encodeEventFrame({ type: 'want', ranges: [[PEER, 1, 2]] }),
    encodeEventFrame({ type: 'items', items: [new Uint8Array(9)], last: true, more: false }),
    Uint8Array.from([0xc1, ...encode(['ahead', new Array(4_000).fill([NODE, 1, 1])])]),
    Uint8Array.from([0xc1, ...encode(['ahead', { length: { toString: 1 } }])]),
  ],
  run: decodeEventFrame,
  verify: (frame: EventFrame) => assertSame(frame.type, frame, decodeEventFrame(encodeEventFrame(frame))),
}

/** What a neighbour passes on. */
export const gossip: Target = {
  name: 'gossip',
  maxBytes: LIMITS.gossip + 2_048,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    ...STATEMENTS.map(({ bytes }) => encodeGossip('record', bytes)),
    encodeGossip('document', new Uint8Array(LIMITS.gossip)),
    encode(nils(250_000)),
  ],
  run: decodeGossip,
  verify: (item: Item) => assertSame(item[0], item, decodeGossip(encodeGossip(...item))),
}
