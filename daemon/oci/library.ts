import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { type Digest, FleetError, sha256, toFleetError } from '../../protocol/index.ts'
import {
  type ImageStore,
  MAX_DOCUMENT,
  type OciDocument,
  parseDocument,
  type Span,
  type StoredImage,
  spansOf,
} from '../../rollout/index.ts'
import type { Images } from '../images/index.ts'
import type { LivePush, Pushes } from '../pushes/index.ts'
import { timeLimit } from '../time-limit.ts'
import { segmentOf } from './segments.ts'

/** How long those who should have an image are asked what it is. Milliseconds. */
const LEARN_TIMEOUT = 15_000
/** Where a blob is looked for among images that this node has not heard of yet: the newest of the repository. */
const LOOK_THROUGH = 16
const LOOK_TIMEOUT = 5_000
/** Chunks that are read from the disk ahead of the client. */
const READ_AHEAD = 4

/** A blob in an image of the fleet; its chunks may be elsewhere. */
export interface Held {
  readonly image: StoredImage
  readonly span: Span
}

/** A manifest or an index, to the byte. */
export interface Document {
  readonly digest: Digest
  readonly bytes: Uint8Array
  readonly document: OciDocument
}

/** All that was pushed to any node of the fleet. What is not on this disk is fetched from others as it is read. */
export interface Library {
  /** The manifest of a tag or a digest; undefined when nothing of that name is in the repository. Throws `unavailable` when nobody who has it answers. */
  manifest(repository: string, reference: string): Promise<Document | undefined>
  /** A blob, wherever it is; `repository` says where to look when it is in no image that is known here. */
  find(repository: string, blob: Digest): Promise<Held | undefined>
  /** A blob of an image that is known here. */
  findHere(blob: Digest): Held | undefined
  /** The bytes from `start` up to, but without, `end`, as they are there. When that is all of the blob, its end comes only if the whole has its digest. */
  read(held: Held, start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array>
  /** Brings in what is missing here of a blob. */
  bring(held: Held, signal: AbortSignal): Promise<void>
  /** The whole of a small blob, verified. */
  bytesOf(held: Held): Promise<Uint8Array>
}

export interface LibraryInit {
  readonly store: Pick<ImageStore, 'get' | 'has'>
  readonly images: Pick<Images, 'list' | 'get' | 'learn' | 'fetchPart'>
  readonly pushes: Pick<Pushes, 'resolve' | 'of' | 'naming'>
  readonly log: Logger
}

export function createLibrary({ store, images, pushes, log }: LibraryInit): Library {
  const spans = new Map<Digest, ReadonlyMap<Digest, Span>>()
  const spansIn = (image: StoredImage): ReadonlyMap<Digest, Span> => {
    let known = spans.get(image.digest)
    if (known === undefined) {
      try {
        known = new Map(spansOf(image).map(span => [span.digest, span]))
      } catch (error) {
        log.warn({ image: image.digest, reason: toFleetError(error).message }, 'an image of kind oci is malformed')
        known = new Map()
      }
      spans.set(image.digest, known)
    }
    return known
  }
  const isHere = ({ image, span }: Held): boolean => {
    for (let at = span.from; at < span.to; at++) if (!store.has(image.index[at]!.digest)) return false
    return true
  }

  /** The blob in one of the images that `among` lets through: in one that has all of it here where there is one. */
  const findHere = (blob: Digest, among: (image: Digest) => boolean = () => true): Held | undefined => {
    let fetchable: Held | undefined
    for (const image of images.list()) {
      if (image.manifest.kind !== 'oci' || !among(image.digest)) continue
      const span = spansIn(image).get(blob)
      if (span === undefined) continue
      if (isHere({ image, span })) return { image, span }
      if (pushes.naming(image.digest).length > 0) fetchable ??= { image, span }
    }
    return fetchable
  }
  const find = async (
    repository: string,
    blob: Digest,
    among?: (image: Digest) => boolean,
  ): Promise<Held | undefined> => {
    const here = findHere(blob, among)
    if (here !== undefined) return here
    const unheard = [...new Set(newest(pushes.of(repository)).map(push => push.body.pushed.image))]
      .filter(image => images.get(image) === undefined)
      .slice(0, LOOK_THROUGH)
    if (unheard.length === 0) return undefined
    await Promise.allSettled(unheard.map(image => images.learn(image, timeLimit(LOOK_TIMEOUT))))
    return findHere(blob, among)
  }

  /** Brings in the part of the blob that a chunk belongs to, unless it is all here. */
  const bringSegment = async ({ image, span }: Held, chunk: number, signal: AbortSignal): Promise<void> => {
    const part = segmentOf(span, chunk)
    if (isHere({ image, span: { ...span, ...part } })) return
    await images.fetchPart(image, part, signal)
  }
  const chunkAt = async (held: Held, at: number, signal: AbortSignal): Promise<Uint8Array> => {
    const { digest } = held.image.index[at]!
    const found = await local(digest)
    if (found !== undefined) return found
    await bringSegment(held, at, signal)
    const { to } = segmentOf(held.span, at)
    // While the client takes this part the next one is on its way.
    if (to < held.span.to) bringSegment(held, to, signal).catch(() => undefined)
    const fetched = await local(digest)
    if (fetched === undefined) throw new FleetError('unavailable', `chunk ${digest.slice(0, 12)} was taken away again`)
    return fetched
  }
  const local = async (chunk: Digest): Promise<Uint8Array | undefined> => {
    try {
      return (await store.get(chunk))?.bytes
    } catch (error) {
      if (toFleetError(error).code !== 'corrupt') throw error
      log.error({ err: error }, 'a chunk of a pushed image was damaged on this disk, and is fetched again')
      return undefined
    }
  }

  async function* read(held: Held, start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { image, span } = held
    const hash = start === 0 && end === span.size ? createHash('sha256') : undefined
    const ahead: Promise<Uint8Array | undefined>[] = []
    let at = 0
    let next = span.from
    for (let chunk = span.from; chunk < span.to && at < end; chunk++) {
      const { length } = image.index[chunk]!
      const [from, to] = [Math.max(0, start - at), Math.min(length, end - at)]
      at += length
      next = Math.max(next, chunk)
      if (from >= to) continue
      signal.throwIfAborted()
      while (next < Math.min(span.to, chunk + READ_AHEAD)) {
        const reading = local(image.index[next++]!.digest)
        reading.catch(() => undefined)
        ahead.push(reading)
      }
      const bytes = (await ahead.shift()) ?? (await chunkAt(held, chunk, signal))
      hash?.update(bytes)
      if (hash !== undefined && chunk === span.to - 1) assertIs(held, hash.digest('hex'))
      yield bytes.subarray(from, to)
    }
  }
  const assertIs = ({ image, span }: Held, actual: string): void => {
    if (actual === span.digest) return
    const by = pushes.naming(image.digest).map(push => push.body.node)
    log.error(
      { image: image.digest, blob: span.digest, nodes: by },
      `blob ${span.digest} of image ${image.digest} is not what its push says; it was pushed at ${by.join(' and ')}`,
    )
    throw new FleetError('corrupt', `blob ${span.digest.slice(0, 12)} is not what its push says`)
  }
  const bytesOf = async (held: Held): Promise<Uint8Array> => {
    if (held.span.size > MAX_DOCUMENT)
      throw new FleetError('too-large', `a manifest of ${held.span.size} bytes is over the limit of ${MAX_DOCUMENT}`)
    const pieces: Uint8Array[] = []
    for await (const piece of read(held, 0, held.span.size, timeLimit(LEARN_TIMEOUT))) pieces.push(piece)
    const bytes = Buffer.concat(pieces)
    assertIs(held, sha256(bytes))
    return bytes
  }

  const documentOf = async (held: Held): Promise<Document> => {
    const bytes = await bytesOf(held)
    return { digest: held.span.digest, bytes, document: parseDocument(bytes) }
  }
  const pushed = async ({ body }: LivePush): Promise<Document> => {
    const { image: digest, manifest } = body.pushed
    const image = images.get(digest) ?? (await images.learn(digest, timeLimit(LEARN_TIMEOUT)).catch(nobody))
    const span = spansIn(image).get(manifest)
    if (span === undefined)
      throw new FleetError(
        'corrupt',
        `image ${digest.slice(0, 12)} does not hold the manifest that ${body.node} pushed`,
      )
    return documentOf({ image, span })
  }
  const nobody = (error: unknown): never => {
    throw new FleetError('unavailable', 'it was pushed, and no member that has it can be reached now', { cause: error })
  }

  return {
    async manifest(repository, reference) {
      const push = pushes.resolve(repository, reference)
      if (push !== undefined) return pushed(push)
      if (!reference.startsWith('sha256:')) return undefined
      // It may be one of those that an index of this repository names.
      const own = new Set(pushes.of(repository).map(({ body }) => body.pushed.image))
      const held = await find(repository, reference.slice('sha256:'.length) as Digest, image => own.has(image))
      if (held === undefined) return undefined
      if (held.span.size > MAX_DOCUMENT) return undefined
      return documentOf(held).catch(error => {
        if (toFleetError(error).code === 'bad-input') return undefined // a layer, or a config
        throw error
      })
    },
    find: (repository, blob) => find(repository, blob),
    findHere: blob => findHere(blob),
    read,
    async bring(held, signal) {
      for (let at = held.span.from; at < held.span.to; at = segmentOf(held.span, at).to)
        await bringSegment(held, at, signal)
    },
    bytesOf,
  }
}

const newest = (pushes: readonly LivePush[]): LivePush[] => [...pushes].sort((a, b) => b.body.at - a.body.at)
