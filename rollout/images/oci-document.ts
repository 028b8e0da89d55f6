import { isUtf8 } from 'node:buffer'
import * as z from 'zod'
import { check, FleetError, fields, objectionText } from '../../protocol/index.ts'

/** The largest manifest or index that is taken. Bytes; the distribution-spec ("Pushing Manifests") has registries take 4 MiB at least. */
export const MAX_DOCUMENT = 4 * 1024 * 1024

/** Deepest nesting and most values of one. An index of 500 manifests with platforms and annotations has some 10 000 values. */
const MAX_DEPTH = 16
const MAX_VALUES = 64 * 1024

const annotations = fields.recordOf(z.string(), z.string(), 1024).optional()

/** What one names another by (image-spec, descriptor.md). */
const descriptorSchema = z.object({
  mediaType: z.string().max(255),
  /** `ALGORITHM:ENCODED`; that of sha256 is the only one that is kept here. */
  digest: z.string().regex(/^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{1,256}$/, 'expected a digest'),
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  urls: z.array(z.string()).max(64).optional(),
  artifactType: z.string().max(255).optional(),
  annotations,
})
export type Descriptor = z.infer<typeof descriptorSchema>

const common = {
  schemaVersion: z.literal(2),
  mediaType: z.string().max(255).optional(),
  artifactType: z.string().max(255).optional(),
  subject: descriptorSchema.optional(),
  annotations,
}
/** image-spec, manifest.md; Docker's schema 2 has the same shape. */
const manifestSchema = z.object({
  ...common,
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(4096),
})
/** image-spec, image-index.md; Docker's manifest list has the same shape. */
const indexSchema = z.object({ ...common, manifests: z.array(descriptorSchema).max(4096) })

export const MEDIA_TYPE = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  index: 'application/vnd.oci.image.index.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
} as const
const MANIFESTS: readonly string[] = [MEDIA_TYPE.manifest, MEDIA_TYPE.dockerManifest]
const INDEXES: readonly string[] = [MEDIA_TYPE.index, MEDIA_TYPE.dockerList]

/** What a manifest or an index says, as far as a registry is concerned with it. */
export interface OciDocument {
  readonly mediaType: string
  /** Config and layers, of which each has to be there. */
  readonly blobs: readonly Descriptor[]
  /** Manifests of an index; an index may name some that are not there. */
  readonly manifests: readonly Descriptor[]
  readonly subject: Descriptor | undefined
  /** As the list of referrers shows it: of a manifest without one it is the media type of its config. */
  readonly artifactType: string | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
}

/** Throws `bad-input` with what is wrong, or `too-large`. */
export function parseDocument(bytes: Uint8Array): OciDocument {
  if (bytes.byteLength > MAX_DOCUMENT)
    throw new FleetError('too-large', `a manifest of ${bytes.byteLength} bytes is over the limit of ${MAX_DOCUMENT}`)
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  assertModest(buffer)
  let raw: unknown
  try {
    if (!isUtf8(buffer)) throw new TypeError('not UTF-8')
    raw = JSON.parse(buffer.toString())
  } catch {
    throw new FleetError('bad-input', 'the manifest is not JSON')
  }
  if (typeof raw !== 'object' || raw === null) throw new FleetError('bad-input', 'the manifest is no JSON object')
  // A document with both lists could be taken for either (CVE-2021-41190).
  if ('manifests' in raw && ('layers' in raw || 'config' in raw))
    throw new FleetError('bad-input', 'the manifest has manifests as an index does, and layers or a config as well')
  return 'manifests' in raw ? asIndex(raw) : asManifest(raw)
}

/**
 * Throws `bad-input` on JSON of more nesting or values than any manifest has. It costs its sender next to nothing, and would hold the daemon's loop
 * for most of a second. Counts what parts values outside of text; whether it is well-formed is for the parser to say.
 */
function assertModest(bytes: Buffer): void {
  let depth = 0
  let values = 0
  // Read once: V8 asks a Buffer for it anew each time, which takes ten times as long as all the rest.
  const { length } = bytes
  for (let at = 0; at < length; at++) {
    const byte = bytes[at]!
    if (byte < QUOTE) continue // blanks, of which there may be four million
    if (byte === QUOTE) {
      at = endOfText(bytes, at)
      if (at < 0) throw new FleetError('bad-input', 'the manifest is not JSON')
    } else if (byte === OPEN_LIST || byte === OPEN_MAP) {
      depth += 1
      values += 1
      if (depth > MAX_DEPTH) throw new FleetError('bad-input', `the manifest is nested deeper than ${MAX_DEPTH}`)
    } else if (byte === CLOSE_LIST || byte === CLOSE_MAP) depth -= 1
    else if (byte === COMMA) values += 1
    if (values > MAX_VALUES) throw new FleetError('bad-input', `the manifest has more than ${MAX_VALUES} values`)
  }
}

const QUOTE = 0x22
const COMMA = 0x2c
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_MAP = 0x7b
const CLOSE_MAP = 0x7d

/** Where the text ends that begins at `start`: at the next quote with an even number of backslashes before it. -1 when nowhere. */
function endOfText(bytes: Buffer, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); ; end = bytes.indexOf(QUOTE, end + 1)) {
    let escapes = 0
    while (end > 0 && bytes[end - 1 - escapes] === BACKSLASH) escapes += 1
    if (end < 0 || escapes % 2 === 0) return end
  }
}

function asIndex(raw: object): OciDocument {
  const { mediaType = MEDIA_TYPE.index, manifests, subject, artifactType, annotations } = checked(indexSchema, raw)
  if (!INDEXES.includes(mediaType))
    throw new FleetError('bad-input', `${mediaType} is not the media type of an index; use ${INDEXES.join(' or ')}`)
  return { mediaType, blobs: [], manifests, subject, artifactType, annotations }
}

function asManifest(raw: object): OciDocument {
  const document = checked(manifestSchema, raw)
  const { mediaType = MEDIA_TYPE.manifest, config, layers, subject, artifactType, annotations } = document
  if (!MANIFESTS.includes(mediaType))
    throw new FleetError('bad-input', `${mediaType} is not the media type of a manifest; use ${MANIFESTS.join(' or ')}`)
  return {
    mediaType,
    blobs: [config, ...layers],
    manifests: [],
    subject,
    artifactType: artifactType ?? config.mediaType,
    annotations,
  }
}

function checked<T>(schema: z.ZodType<T>, raw: unknown): T {
  const found = check(schema, raw)
  if (!found.success) throw new FleetError('bad-input', `the manifest is malformed: ${objectionText(found.objection)}`)
  return found.data
}
