import {
  type Description,
  decodeDescription,
  decodeMessage,
  decodeQuestion,
  encodeDescription,
  encodeMessage,
  encodeQuestion,
  type Message,
  type Question,
} from '../../../daemon/images/wire.ts'
import {
  applyPatch,
  type ChunkRef,
  encode,
  encodeIndex,
  encodeManifest,
  FleetError,
  LIMITS,
  type Manifest,
  makePatch,
  namesOf,
  openIndex,
  openManifest,
  piecesOf,
  SALT,
  sha256,
} from '../../../protocol/index.ts'
import { image } from '../../rollout/ledger/fixtures.ts'
import { manifestOf } from '../../support/manifest.ts'
import { assertSame, Broken, crowd, HOSTILE, nils, type Target } from '../target.ts'

const MESSAGES: readonly Message[] = [
  { type: 'open', image: image('v1'), accepts: ['br', 'parts'] },
  { type: 'bitmap', has: Uint8Array.of(0xff, 1), patches: true },
  { type: 'like', index: 6, salt: new Uint8Array(8), names: new Uint8Array(24) },
  { type: 'patch', index: 6, length: 99, bytes: new Uint8Array(30) },
  { type: 'has', indexes: [0, 1, 65_535] },
  { type: 'request', indexes: [3] },
  { type: 'cancel', indexes: [] },
  { type: 'chunk', index: 4, bytes: new Uint8Array(99) },
  { type: 'packed', index: 4, packing: 'br', bytes: new Uint8Array(9) },
  { type: 'refused', index: 5 },
  { type: 'part', last: true, bytes: new Uint8Array(7) },
  { type: 'credit', bytes: 1_000 },
  { type: 'credit', bytes: null },
]

/** What is said on a chunk channel. */
export const swarmMessage: Target = {
  name: 'swarm-message',
  maxBytes: LIMITS.channelFrame + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    ...MESSAGES.map(encodeMessage),
    encode(['request', nils(2_000_000)]),
    encode(['request', new Array(65_536).fill(1)]),
    encode(['has', new Array(65_536).fill(0.5)]),
    encode(nils(2_000_000)),
  ],
  run: decodeMessage,
  verify: (message: Message) => assertSame(message.type, message, decodeMessage(encodeMessage(message))),
}

/** How a node learns what an image is. */
export const imageDescription: Target = {
  name: 'image-description',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encodeQuestion({ image: image('v1'), part: 3, short: false, runs: [] }),
    encodeQuestion({ image: image('v1'), part: 1, short: true, runs: [] }),
    encodeQuestion({
      image: image('v1'),
      part: 0,
      short: false,
      runs: [
        [3, 4],
        [90_000, 2 ** 40],
      ],
    }),
    encodeDescription({ manifest: manifestBytes, endorsement: new Uint8Array(9), part: indexBytes, short: true }),
    encode(nils(1_000_000)),
  ],
  run(input) {
    try {
      return decodeQuestion(input)
    } catch (error) {
      if (!(error instanceof FleetError)) throw error
      return decodeDescription(input)
    }
  },
  verify(value: Question | Description) {
    if ('image' in value) assertSame('a question', value, decodeQuestion(encodeQuestion(value)))
    else assertSame('a description', value, decodeDescription(encodeDescription(value)))
  },
}

const chunks = [
  { digest: sha256(Buffer.from('a')), length: 65_536 },
  { digest: sha256(Buffer.from('b')), length: 7 },
]
const indexBytes = encodeIndex(chunks)
const MANIFEST = manifestOf(chunks, {
  version: '1.0',
  kind: 'tree',
  labels: { team: 'a' },
  provenance: { configRevision: 'c1', appRevision: 'a1', dependencies: { zod: '4' }, builder: 'ci', source: 'git' },
  requires: { base: image('v1') },
})
const manifestBytes = encodeManifest(MANIFEST)

export const manifest: Target = {
  name: 'manifest',
  maxBytes: LIMITS.manifest + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    manifestBytes,
    encode({ ...MANIFEST, labels: crowd(10_000) }),
    encode({ ...MANIFEST, labels: Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`k${i}`, ''])) }),
    encode({ ...MANIFEST, requires: crowd(10_000) }),
  ],
  run: input => openManifest(input, sha256(input)),
  verify(opened: Manifest) {
    const again = encodeManifest(opened)
    const sameKeys = (value: unknown): unknown =>
      typeof value === 'object' && value !== null
        ? Object.fromEntries(
            Object.entries(value)
              .sort(([a], [b]) => (a < b ? -1 : 1))
              .map(([key, each]) => [key, sameKeys(each)]),
          )
        : value
    assertSame('a manifest', sameKeys(opened), sameKeys(openManifest(again, sha256(again))))
  },
}

/** The input is an index; the manifest is made to name it. */
export const chunkIndex: Target = {
  name: 'chunk-index',
  maxBytes: 1024 * 1024,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [new Uint8Array(), indexBytes, new Uint8Array(36), new Uint8Array(360_000).fill(1)],
  run(input) {
    const view = Buffer.from(input)
    const count = Math.floor(input.byteLength / 36)
    let size = 0
    for (let at = 0; at < count; at++) size += view.readUInt32BE(at * 36 + 32)
    return openIndex(input, { ...MANIFEST, index: sha256(input), chunks: count, size })
  },
  verify: (refs: ChunkRef[], input) => assertSame('an index', input, encodeIndex(refs)),
}

/** What is here in the place of the chunk: the same at every call. */
const OLD = Buffer.concat(Array.from({ length: 1_500 }, (_, at) => Buffer.from(sha256(Buffer.from(String(at))), 'hex')))
const EDITED = Buffer.concat([OLD.subarray(0, 20_000), Buffer.alloc(300, 7), OLD.subarray(20_000)])
const SALTED = Buffer.alloc(SALT, 3)
const PIECES = piecesOf(OLD)

/** A chunk as what differs from what is here. */
export const chunkPatch: Target = {
  name: 'chunk-patch',
  maxBytes: 1024 * 1024,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    makePatch(EDITED, SALTED, namesOf(SALTED, PIECES))!,
    encode([[0, 1, 2, -5], new Uint8Array(5)]),
    encode([new Array(100_000).fill(0), new Uint8Array()]),
    encode([new Array(100_000).fill(-1), new Uint8Array(100_000)]),
    encode([[-(2 ** 53), 2 ** 53, 0.5, Number.NaN], new Uint8Array(9)]),
    encode([nils(100_000), new Uint8Array(9)]),
  ],
  run: input => applyPatch(input, PIECES, EDITED.byteLength),
  verify(chunk: Uint8Array) {
    if (chunk.byteLength !== EDITED.byteLength) throw new Broken('a patch made a chunk of another length')
  },
}
