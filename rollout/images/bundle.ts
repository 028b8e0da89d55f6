import * as z from 'zod'
import {
  type ChunkRef,
  check,
  type Digest,
  decode,
  encode,
  encodeIndex,
  FleetError,
  fields,
  indexBytes,
  LIMITS,
  type Manifest,
  openIndex,
  openManifest,
} from '../../protocol/index.ts'
import { type VerifiedChunk, verifyChunk } from './verified.ts'

/**
 * A bundle: an image in one file, to be carried where no network leads. These 16 bytes, then frames of one letter, four bytes of length
 * (big-endian) and content, in the order of `FRAMES`, then the chunks that frame `c` marks, one behind the other with nothing in between: how long
 * each is and what it must be is known from the index. So nothing in the file can say a length that was not checked before it is read,
 * and where each chunk lies is known without reading those before it. docs/decisions/0028 says why.
 */
export const BUNDLE_MAGIC = Buffer.from('fleetd bundle 1\n')

/** Frame letters in the order in which they come. */
const FRAMES = ['h', 'p', 'o', 'l', 'm', 'e', 'i', 'c'] as const
type Letter = (typeof FRAMES)[number]
const STATEMENTS = { p: 'policy', o: 'push', l: 'plan' } as const
/** What a statement in a bundle may be: a policy of the chain, what a registry's clients pushed, an operator's plan. */
export type BundledKind = (typeof STATEMENTS)[keyof typeof STATEMENTS]

/** Most statements of each kind, and the most bytes of one. */
const MOST: Readonly<Record<BundledKind, number>> = { policy: 512, push: 64, plan: 16 }
const LARGEST: Readonly<Record<BundledKind, number>> = {
  policy: LIMITS.policy,
  push: LIMITS.push,
  plan: LIMITS.plan,
}
const MAX_HEAD = 1024
const FRAME_HEAD = 5

const headSchema = z.object({
  fleet: z.string().regex(/^[0-9a-f]{64}$/),
  image: fields.digest,
  /** The image whose chunks were left out, because whoever imports has it; null: none. */
  since: fields.digest.nullable(),
})
export type BundleHead = z.infer<typeof headSchema>

/** What a bundle is made of. */
export interface BundleParts {
  readonly head: BundleHead
  readonly statements: readonly { readonly kind: BundledKind; readonly bytes: Uint8Array }[]
  readonly manifest: Uint8Array
  /** Empty where the image has none. */
  readonly endorsement: Uint8Array
  readonly index: readonly ChunkRef[]
  /** Chunks that are left out. */
  readonly without: { has(chunk: Digest): boolean }
}

/** Everything of a bundle that comes before its chunks, and which chunks come after it, in this order. */
export function bundleOf(parts: BundleParts): { readonly before: Uint8Array; readonly chunks: readonly ChunkRef[] } {
  const { index: refs, without } = parts
  const marks = Buffer.alloc(Math.ceil(refs.length / 8))
  const seen = new Set<Digest>()
  const chunks = refs.filter((ref, at) => {
    if (seen.has(ref.digest) || without.has(ref.digest)) return false
    seen.add(ref.digest)
    marks[at >> 3]! |= 1 << (at & 7)
    return true
  })
  const letterOf = (kind: BundledKind): Letter =>
    (Object.keys(STATEMENTS) as (keyof typeof STATEMENTS)[]).find(letter => STATEMENTS[letter] === kind)!
  const frames: [Letter, Uint8Array][] = [
    ['h', encode(parts.head)],
    ...parts.statements.map(({ kind, bytes }): [Letter, Uint8Array] => [letterOf(kind), bytes]),
    ['m', parts.manifest],
    ['e', parts.endorsement],
    ['i', encodeIndex(refs)],
    ['c', marks],
  ]
  frames.sort(([a], [b]) => FRAMES.indexOf(a) - FRAMES.indexOf(b))
  const pieces = frames.flatMap(([letter, content]) => {
    const head = Buffer.alloc(FRAME_HEAD)
    head.write(letter, 'latin1')
    head.writeUInt32BE(content.byteLength, 1)
    return [head, content]
  })
  return { before: Buffer.concat([BUNDLE_MAGIC, ...pieces]), chunks }
}

/** Where a bundle is read from. Bytes that it gives are its reader's own. */
export interface BundleSource {
  /** All its bytes, where that is known beforehand. */
  readonly size: number | undefined
  /** The next bytes; fewer only at the end. */
  read(length: number): Promise<Uint8Array>
  /** Passes over the next bytes. */
  skip(length: number): Promise<void>
}

/** What a bundle holds, piece by piece. Whoever reads on past a piece has found it good. */
export type BundlePart =
  | ({ readonly type: 'head' } & BundleHead)
  /** Nothing of it is checked but its size. */
  | { readonly type: 'statement'; readonly kind: BundledKind; readonly bytes: Uint8Array }
  /** The manifest is the one that the head names. Whether the signature counts is for the reader to say, before more is read on its word. */
  | {
      readonly type: 'image'
      readonly digest: Digest
      readonly manifest: Manifest
      readonly bytes: Uint8Array
      readonly endorsement: Uint8Array
    }
  /** The index is the one that the manifest names. `chunks`: those that follow; `bytes`: how much they are. */
  | {
      readonly type: 'index'
      readonly bytes: Uint8Array
      readonly refs: readonly ChunkRef[]
      readonly chunks: readonly number[]
      readonly size: number
    }
  /** `take` reads and verifies it; it is passed over when that is not called. */
  | { readonly type: 'chunk'; readonly at: number; readonly take: () => Promise<VerifiedChunk> }

/**
 * Reads a bundle that may come from anywhere. Holds no more of it than one frame. Throws `corrupt` where it is no bundle, was cut, or is not
 * what it says it is, and `too-large` past a limit, in a sentence that says which.
 */
export async function* readBundle(source: BundleSource): AsyncGenerator<BundlePart> {
  let at = 0
  const read = async (length: number, what: string): Promise<Uint8Array> => {
    const bytes = await source.read(length)
    at += bytes.byteLength
    if (bytes.byteLength < length) throw cutShort(at, what)
    return bytes
  }
  /** The letter and length of the frame that comes next. */
  const next = async (): Promise<{ letter: Letter; length: number }> => {
    const head = Buffer.from(await read(FRAME_HEAD, 'before its content'))
    const letter = head.toString('latin1', 0, 1) as Letter
    if (!FRAMES.includes(letter)) throw broken('it has a part that no bundle has')
    return { letter, length: head.readUInt32BE(1) }
  }
  const expect = async (letter: Letter, most: number, found?: { letter: Letter; length: number }) => {
    const frame = found ?? (await next())
    if (frame.letter !== letter) throw broken('its parts are not in the order that they should be')
    if (frame.length > most) throw tooLarge(frame.length, most)
    return read(frame.length, 'before its content')
  }

  const magic = await source.read(BUNDLE_MAGIC.byteLength)
  at += magic.byteLength
  if (Buffer.compare(magic, BUNDLE_MAGIC) !== 0)
    throw new FleetError('corrupt', 'this file is no bundle that this version of fleetd understands')

  const head = check(headSchema, decode(await expect('h', MAX_HEAD), MAX_HEAD))
  if (!head.success) throw broken('its head is malformed')
  yield { type: 'head', ...head.data }

  const counts: Record<BundledKind, number> = { policy: 0, push: 0, plan: 0 }
  let frame = await next()
  for (const letter of ['p', 'o', 'l'] as const) {
    const kind = STATEMENTS[letter]
    for (; frame.letter === letter; frame = await next()) {
      counts[kind] += 1
      if (counts[kind] > MOST[kind])
        throw new FleetError('too-large', `the bundle holds more than ${MOST[kind]} statements of kind ${kind}`)
      yield { type: 'statement', kind, bytes: await expect(letter, LARGEST[kind], frame) }
    }
  }

  const bytes = await expect('m', LIMITS.manifest, frame)
  const manifest = openManifest(bytes, head.data.image)
  yield { type: 'image', digest: head.data.image, manifest, bytes, endorsement: await expect('e', LIMITS.endorsement) }

  const index = await expect('i', indexBytes(manifest))
  const refs = openIndex(index, manifest)
  const marks = await expect('c', Math.ceil(refs.length / 8))
  if (marks.byteLength !== Math.ceil(refs.length / 8)) throw broken('its list of chunks is malformed')
  const chunks: number[] = []
  let size = 0
  for (const [number, { length }] of refs.entries()) {
    if ((marks[number >> 3]! & (1 << (number & 7))) === 0) continue
    chunks.push(number)
    size += length
  }
  if (source.size !== undefined && source.size < at + size) throw cutShort(source.size, `of ${at + size} bytes`)
  yield { type: 'index', bytes: index, refs, chunks, size }

  for (const number of chunks) {
    const ref = refs[number]!
    let taken = false
    const take = async (): Promise<VerifiedChunk> => {
      taken = true
      const chunk = verifyChunk(ref.digest, await read(ref.length, `in chunk ${number}`))
      if (chunk === undefined)
        throw broken(
          `its chunk ${number} does not match its digest; what came before it is kept, so copy the file anew`,
        )
      return chunk
    }
    yield { type: 'chunk', at: number, take }
    if (taken) continue
    await source.skip(ref.length)
    at += ref.length
  }
  if ((await source.read(1)).byteLength > 0) throw broken('it goes on behind its end')
}

const broken = (why: string): FleetError =>
  new FleetError('corrupt', `the bundle is damaged or was tampered with: ${why}`)
const cutShort = (at: number, where: string): FleetError =>
  new FleetError(
    'corrupt',
    `the bundle is cut short: it ends after ${at} bytes ${where}; copy it anew, and what is here of it already is not read again`,
  )
const tooLarge = (length: number, most: number): FleetError =>
  new FleetError('too-large', `the bundle has a part of ${length} bytes where at most ${most} are allowed`)
