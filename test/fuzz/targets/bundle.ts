import { encodeManifest, LIMITS, openManifest, sha256 } from '../../../protocol/index.ts'
import { BUNDLE_MAGIC, type BundleParts, bundleOf, readBundle, type VerifiedChunk } from '../../../rollout/index.ts'
import { memorySource } from '../../rollout/images/bundle-support.ts'
import { manifestOf } from '../../support/manifest.ts'
import { Broken, HOSTILE, type Target } from '../target.ts'

const CONTENT = [Buffer.alloc(300, 1), Buffer.alloc(200, 2)]
const index = CONTENT.map(bytes => ({ digest: sha256(bytes), length: bytes.byteLength }))
const manifest = encodeManifest(manifestOf(index, { version: '1' }))
const PARTS: BundleParts = {
  head: { fleet: 'f'.repeat(64), image: sha256(manifest), since: sha256(Buffer.from('v0')) },
  statements: [
    { kind: 'policy', bytes: Buffer.alloc(40, 3) },
    { kind: 'push', bytes: Buffer.alloc(40, 4) },
    { kind: 'plan', bytes: Buffer.alloc(40, 5) },
  ],
  manifest,
  endorsement: Buffer.alloc(64, 6),
  index,
  without: new Set(),
}
const written = (parts: BundleParts = PARTS, content: readonly Uint8Array[] = CONTENT): Uint8Array =>
  Buffer.concat([bundleOf(parts).before, ...content])

const frame = (letter: string, content: Uint8Array): Uint8Array => {
  const head = Buffer.alloc(5)
  head.write(letter)
  head.writeUInt32BE(content.byteLength, 1)
  return Buffer.concat([head, content])
}
/** The frames of a bundle, as far as they go, and what is behind them. */
function framesOf(input: Uint8Array): { frames: [string, Buffer][]; rest: Buffer } {
  const frames: [string, Buffer][] = []
  const bytes = Buffer.from(input)
  let at = BUNDLE_MAGIC.byteLength
  while (at + 5 <= bytes.byteLength && frames.at(-1)?.[0] !== 'c') {
    const end = at + 5 + bytes.readUInt32BE(at + 1)
    if (end > bytes.byteLength) break
    frames.push([bytes.toString('latin1', at, at + 1), bytes.subarray(at + 5, end)])
    at = end
  }
  return { frames, rest: bytes.subarray(at) }
}

/** A file that somebody brings. */
export const bundle: Target = {
  name: 'bundle',
  maxBytes: LIMITS.manifest + 16 * 1024,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    ...HOSTILE.map(head => Buffer.concat([BUNDLE_MAGIC, frame('h', head)])),
    written(),
    written({ ...PARTS, statements: [], without: new Set([index[0]!.digest]) }, CONTENT.slice(1)),
    written(PARTS, [CONTENT[1]!, CONTENT[0]!]),
    written(PARTS, [CONTENT[0]!]),
    written({ ...PARTS, statements: Array.from({ length: 100 }, () => ({ kind: 'push', bytes: new Uint8Array() })) }),
    Buffer.concat([BUNDLE_MAGIC, Uint8Array.of(0x68, 0xff, 0xff, 0xff, 0xff)]),
  ],
  async run(input) {
    const source = memorySource(input, false)
    const chunks: VerifiedChunk[] = []
    for await (const part of readBundle(source)) {
      if (part.type === 'image') openManifest(part.bytes, part.digest)
      if (part.type === 'chunk') chunks.push(await part.take())
    }
    if (source.largest > Math.max(LIMITS.plan, input.byteLength))
      throw new Broken(`${source.largest} bytes were asked for at once`)
    return chunks
  },
  verify(chunks: VerifiedChunk[]) {
    for (const { digest, bytes } of chunks)
      if (sha256(bytes) !== digest) throw new Broken(`chunk ${digest} is not what it says`)
  },
  /** The head names the manifest that follows it, so that what is behind the first check is reached. */
  mend(input) {
    const { frames, rest } = framesOf(input)
    const named = frames.find(([letter]) => letter === 'm')
    if (named === undefined) return input
    const { before } = bundleOf({ ...PARTS, head: { ...PARTS.head, image: sha256(named[1]) } })
    const head = framesOf(before).frames[0]!
    return Buffer.concat([
      BUNDLE_MAGIC,
      ...[head, ...frames.slice(1)].map(([letter, content]) => frame(letter, content)),
      rest,
    ])
  },
}
