import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { type Digest, FleetError, type Pushed, sha256, toFleetError } from '../../protocol/index.ts'
import {
  addOciImage,
  type Blob,
  type Descriptor,
  type Hold,
  type ImageStore,
  MEDIA_TYPE,
  parseDocument,
  storeContent,
} from '../../rollout/index.ts'
import type { Pushes } from '../pushes/index.ts'
import { OciError } from './errors.ts'
import type { Library } from './library.ts'
import { sha256Of } from './names.ts'
import type { Staging } from './staging.ts'

/** How deep indexes may lie in one another. */
const MAX_DEPTH = 4
/** Layers that a registry need not have: their licence forbids to pass them on, and clients fetch them from their `urls`. */
const FOREIGN = /nondistributable|foreign/

export interface PublisherInit {
  readonly store: ImageStore
  readonly staging: Staging
  readonly library: Library
  readonly pushes: Pick<Pushes, 'publish' | 'resolve' | 'of'>
  /** Aborted when the daemon stops. */
  readonly signal: AbortSignal
}

/** Makes images of the fleet out of manifests and the blobs that they name. */
export interface Publisher {
  /** Takes a manifest or an index under a tag or its digest. Once it resolves, the image is on this disk and the fleet is told. Throws OciError. */
  put(request: { repository: string; reference: string; contentType: string | undefined; bytes: Uint8Array }): Promise<{
    digest: Digest
    subject: string | undefined
  }>
  /** Forgets a tag, or a digest with all tags that stand for it. False when there is no such thing. */
  remove(repository: string, reference: string): Promise<boolean>
}

export function createPublisher({ store, staging, library, pushes, signal }: PublisherInit): Publisher {
  let turn: Promise<unknown> = Promise.resolve()
  /** One after another: a blob of two manifests is put into the store once, and its file goes after that. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = turn.then(work)
    turn = mine.catch(() => undefined)
    return mine
  }

  /** A blob with its chunks on this disk; undefined when it is neither staged here nor in any image. */
  const collect = async (repository: string, digest: Digest, hold: Hold): Promise<Blob | undefined> => {
    if (staging.sizeOf(digest) !== undefined) {
      const hash = createHash('sha256')
      const { refs } = await storeContent(store, hashed(staging.read(digest), hash), hold, { signal })
      if (hash.digest('hex') === digest) return { digest, refs }
      await staging.remove(digest)
    }
    const held = await library.find(repository, digest)
    if (held === undefined) return undefined
    const refs = held.image.index.slice(held.span.from, held.span.to)
    for (const ref of refs) hold.keep(ref.digest)
    await library.bring(held, signal)
    return { digest, refs }
  }

  /** All that a manifest refers to, itself first; what an index names and is not there is left out. */
  const closure = async (repository: string, root: Uint8Array, hold: Hold): Promise<Blob[]> => {
    const blobs = new Map<Digest, Blob>()
    const missing: string[] = []
    const enter = async (bytes: Uint8Array, depth: number): Promise<void> => {
      if (depth > MAX_DEPTH) throw invalid(`indexes lie deeper in one another than ${MAX_DEPTH}`)
      const { blobs: needed, manifests } = parseDocument(bytes)
      for (const descriptor of needed) {
        const digest = sha256Of(descriptor.digest)
        if (digest !== undefined && blobs.has(digest)) continue
        const blob = digest === undefined ? undefined : await collect(repository, digest, hold)
        if (blob !== undefined) {
          assertSize(descriptor, blob)
          blobs.set(blob.digest, blob)
        } else if (!FOREIGN.test(descriptor.mediaType)) missing.push(descriptor.digest)
      }
      for (const descriptor of manifests) {
        const digest = sha256Of(descriptor.digest)
        if (digest === undefined || blobs.has(digest)) continue
        const blob = await collect(repository, digest, hold)
        if (blob === undefined) continue
        assertSize(descriptor, blob)
        blobs.set(digest, blob)
        const held = library.findHere(digest)
        if (isDocument(descriptor) && held !== undefined) await enter(await library.bytesOf(held), depth + 1)
      }
    }
    const { refs } = await storeContent(store, once(root), hold, { signal })
    const digest = sha256(root)
    blobs.set(digest, { digest, refs })
    await enter(root, 1)
    if (missing.length > 0)
      throw new OciError(
        404,
        'MANIFEST_BLOB_UNKNOWN',
        `the manifest names ${missing.join(', ')}, which is not here; push it first`,
        {
          detail: missing.map(name => ({ digest: name })),
        },
      )
    return [...blobs.values()]
  }

  /** Makes an image of a manifest, whose chunks no collection takes before it names them. */
  const take = async (repository: string, version: string, bytes: Uint8Array) => {
    const hold = store.hold()
    try {
      const blobs = await closure(repository, bytes, hold)
      const image = await addOciImage(store, repository, version, blobs).catch(error => {
        throw toFleetError(error).code === 'corrupt' ? invalid('it refers to more blobs than an image may have') : error
      })
      return { blobs, image }
    } finally {
      hold.release()
    }
  }

  const publish = async (repository: string, reference: string, pushed: Pushed): Promise<void> => {
    const now = pushes.resolve(repository, reference)?.body.pushed
    if (now?.manifest !== pushed.manifest || now.image !== pushed.image)
      await pushes.publish({ repository, reference, pushed })
  }

  return {
    put: ({ repository, reference, contentType, bytes }) =>
      inTurn(async () => {
        const digest = sha256(bytes)
        const own = `sha256:${digest}`
        if (reference.includes(':') && reference !== own)
          throw new OciError(400, 'DIGEST_INVALID', `the manifest has digest ${own}, not ${reference}`)
        const subject = checked(bytes, contentType)
        const known = pushes.resolve(repository, own)?.body.pushed
        let pushed = known
        if (known === undefined || library.findHere(digest)?.image.digest !== known.image) {
          const version = reference === own ? `sha256-${digest}` : reference
          const { blobs, image } = await take(repository, version, bytes)
          pushed = {
            manifest: digest,
            image: image.digest,
            subject: subject === undefined ? null : (sha256Of(subject) ?? null),
          }
          await publish(repository, own, pushed)
          for (const blob of blobs) await staging.remove(blob.digest)
        }
        if (reference !== own) await publish(repository, reference, pushed!)
        return { digest, subject }
      }),
    async remove(repository, reference) {
      const live = pushes.of(repository).filter(({ body }) => {
        if (body.reference === reference) return true
        return `sha256:${body.pushed.manifest}` === reference
      })
      for (const { body } of live) await pushes.publish({ repository, reference: body.reference, pushed: null })
      return live.length > 0
    },
  }
}

/** Its subject, where it has one. Throws `MANIFEST_INVALID` on what is no manifest, or is of another type than it is sent as. */
function checked(bytes: Uint8Array, contentType: string | undefined): string | undefined {
  try {
    const { mediaType, subject } = parseDocument(bytes)
    const stated = contentType?.split(';')[0]?.trim()
    if (stated !== undefined && stated !== '' && stated !== mediaType)
      throw invalid(`it is sent as ${stated} and is of type ${mediaType}`)
    return subject?.digest
  } catch (error) {
    if (!(error instanceof FleetError)) throw error
    throw new OciError(error.code === 'too-large' ? 413 : 400, 'MANIFEST_INVALID', error.message, { cause: error })
  }
}

function assertSize({ digest, size }: Descriptor, { refs }: Blob): void {
  const actual = refs.reduce((sum, { length }) => sum + length, 0)
  if (size !== actual) throw invalid(`it says that ${digest} has ${size} bytes, and it has ${actual}`)
}

const DOCUMENTS: readonly string[] = Object.values(MEDIA_TYPE)
const isDocument = ({ mediaType }: Descriptor): boolean => DOCUMENTS.includes(mediaType)
const invalid = (why: string): OciError => new OciError(400, 'MANIFEST_INVALID', `the manifest cannot be taken: ${why}`)

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

async function* hashed(input: Readable, hash: ReturnType<typeof createHash>): AsyncGenerator<Uint8Array> {
  for await (const piece of input as AsyncIterable<Buffer>) {
    hash.update(piece)
    yield piece
  }
}
