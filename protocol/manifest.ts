import * as z from 'zod'
import { CHUNK } from './chunker.ts'
import { decode, encode } from './codec.ts'
import { FleetError } from './errors.ts'
import type { Digest } from './ids.ts'
import { sha256 } from './keys.ts'
import { LIMITS } from './limits.ts'
import { check } from './schema.ts'
import type { StatementKind } from './statement.ts'
import { digest, label, repository, tag } from './statements/fields.ts'

const text = z.string().max(512)

/** Where an image comes from: only what the builder was told, so that the same input gives the same digest on any host. */
export const provenanceSchema = z.strictObject({
  configRevision: text.optional(),
  appRevision: text.optional(),
  dependencies: z.record(text, text).optional(),
  builder: text.optional(),
  source: text.optional(),
})
export type Provenance = z.infer<typeof provenanceSchema>

/** What an image is called: a label, or the repository that it was pushed to. */
export const imageName = z.union([label, repository])
/** A label, or a tag; `sha256-HEX` for what was pushed by its digest alone. */
export const imageVersion = z.union([label, tag])

/** One object of an image of kind `oci`, as its SHA-256 and its size in bytes. */
export const blobSchema = z.tuple([digest, z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)])

/** What an image is. Its name is the SHA-256 of these bytes. It holds no time and no signature; see Endorsement. */
export const manifestSchema = z.object({
  format: z.literal(1),
  name: imageName,
  version: imageVersion,
  /** `tree`: a directory as a canonical tar. `file`: any blob. `oci`: what was pushed to a registry, to the byte. */
  kind: z.enum(['tree', 'file', 'oci']),
  /**
   * Kind `oci` alone: the objects that its content consists of, one behind the other and each cut into chunks by itself, so that
   * an object has the same chunks in every image. The first is the one that was pushed: a manifest or an index.
   */
  blobs: z.array(blobSchema).min(1).max(LIMITS.blobs).optional(),
  /** Bytes of the content: of the tar, of the file, or of all blobs. */
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  chunks: z.number().int().nonnegative(),
  /** Digest of the chunk index. */
  index: digest,
  labels: z.record(z.string().max(LIMITS.tagKey), z.string().max(LIMITS.tagValue)),
  provenance: provenanceSchema,
  /** Images that have to be running before this one, as layer -> digest. */
  requires: z.record(label, digest),
  /** A version that may not be skipped on the way to a newer one. */
  barrier: z.boolean(),
  /** False when there is no way back past this image, e.g. after a migration of state. */
  reversible: z.boolean(),
})
export type Manifest = z.infer<typeof manifestSchema>

/** A publisher's word that this image may run in the fleet. */
export const endorsementSchema = z.object({ image: digest })
export type Endorsement = z.infer<typeof endorsementSchema>
export const ENDORSEMENT: StatementKind<Endorsement> = {
  domain: 'fleetd/endorsement/1',
  schema: endorsementSchema,
  maxBytes: LIMITS.endorsement,
}

const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

/** The canonical bytes: fields in this order, the keys of maps sorted, what is absent left out. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { configRevision, appRevision, dependencies, builder, source } = manifest.provenance
  return encode({
    format: 1,
    name: manifest.name,
    version: manifest.version,
    kind: manifest.kind,
    ...(manifest.blobs === undefined ? {} : { blobs: manifest.blobs }),
    size: manifest.size,
    chunks: manifest.chunks,
    index: manifest.index,
    labels: sorted(manifest.labels),
    provenance: {
      ...(configRevision === undefined ? {} : { configRevision }),
      ...(appRevision === undefined ? {} : { appRevision }),
      ...(dependencies === undefined ? {} : { dependencies: sorted(dependencies) }),
      ...(builder === undefined ? {} : { builder }),
      ...(source === undefined ? {} : { source }),
    },
    requires: sorted(manifest.requires),
    barrier: manifest.barrier,
    reversible: manifest.reversible,
  })
}

/** Throws `corrupt` unless these bytes are a manifest and have this digest. */
export function openManifest(bytes: Uint8Array, expected: Digest): Manifest {
  const actual = sha256(bytes)
  if (actual !== expected)
    throw new FleetError('corrupt', `manifest ${expected.slice(0, 12)} has digest ${actual.slice(0, 12)}`)
  const parsed = check(manifestSchema, decode(bytes, LIMITS.manifest))
  if (!parsed.success || !hasItsBlobs(parsed.data))
    throw new FleetError('corrupt', `image ${expected.slice(0, 12)}: not a manifest that this version understands`)
  return parsed.data
}

/** Kind `oci` has blobs, each once, that add up to its size; no other kind has any. */
function hasItsBlobs({ kind, blobs, size }: Manifest): boolean {
  if (kind !== 'oci' || blobs === undefined) return kind !== 'oci' && blobs === undefined
  return (
    new Set(blobs.map(([name]) => name)).size === blobs.length &&
    blobs.reduce((sum, [, length]) => sum + length, 0) === size
  )
}

/** One chunk of an image's content: SHA-256 and length, in order. */
export interface ChunkRef {
  readonly digest: Digest
  readonly length: number
}

/** Bytes of one chunk in an index. */
export const INDEX_ENTRY = 36

/** The chunk index as an object: 32 bytes of digest and 4 of length (big-endian) for each chunk. Named by its SHA-256. */
export function encodeIndex(refs: readonly ChunkRef[]): Uint8Array {
  const bytes = Buffer.alloc(refs.length * INDEX_ENTRY)
  for (const [at, ref] of refs.entries()) {
    bytes.write(ref.digest, at * INDEX_ENTRY, 'hex')
    bytes.writeUInt32BE(ref.length, at * INDEX_ENTRY + 32)
  }
  return bytes
}

/** Entries of an index, of which nothing is known to be right; what is less than an entry at the end counts for nothing. */
export function decodeEntries(bytes: Uint8Array): ChunkRef[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: Math.floor(view.byteLength / INDEX_ENTRY) }, (_, at) => ({
    digest: view.toString('hex', at * INDEX_ENTRY, at * INDEX_ENTRY + 32) as Digest,
    length: view.readUInt32BE(at * INDEX_ENTRY + 32),
  }))
}

/** The bytes of the index from `from` up to, and without, `to`; fewer at its end. Builds no more than these. */
export function indexPart(refs: readonly ChunkRef[], from: number, to: number): Uint8Array {
  const first = Math.floor(from / INDEX_ENTRY)
  const some = encodeIndex(refs.slice(first, Math.ceil(to / INDEX_ENTRY)))
  return some.subarray(from - first * INDEX_ENTRY, to - first * INDEX_ENTRY)
}

/** Throws `too-large` when the index that a manifest names is larger than any may be. Gives its bytes. */
export function indexBytes(manifest: Manifest): number {
  const bytes = manifest.chunks * INDEX_ENTRY
  if (bytes > LIMITS.chunkIndex)
    throw new FleetError(
      'too-large',
      `image ${manifest.name}:${manifest.version} has ${manifest.chunks} chunks, more than an index of ${LIMITS.chunkIndex} bytes holds`,
    )
  return bytes
}

/** Throws `corrupt` unless these bytes are the index that the manifest names, and add up to its size. */
export function openIndex(bytes: Uint8Array, manifest: Manifest): ChunkRef[] {
  if (sha256(bytes) !== manifest.index)
    throw new FleetError('corrupt', `the chunk index of ${manifest.name}:${manifest.version} does not match its digest`)
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.byteLength !== manifest.chunks * INDEX_ENTRY)
    throw new FleetError(
      'corrupt',
      `the chunk index of ${manifest.name}:${manifest.version} has another length than its manifest says`,
    )
  const refs: ChunkRef[] = []
  let size = 0
  for (let at = 0; at < view.byteLength; at += INDEX_ENTRY) {
    const length = view.readUInt32BE(at + 32)
    if (length < 1 || length > CHUNK.max)
      throw new FleetError(
        'corrupt',
        `the chunk index of ${manifest.name}:${manifest.version} has a chunk of ${length} bytes`,
      )
    size += length
    refs.push({ digest: view.toString('hex', at, at + 32) as Digest, length })
  }
  if (size !== manifest.size)
    throw new FleetError(
      'corrupt',
      `the chunks of ${manifest.name}:${manifest.version} add up to ${size} bytes, not ${manifest.size}`,
    )
  return refs
}
