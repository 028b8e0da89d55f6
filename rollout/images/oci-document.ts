import * as z from 'zod'
import { check, FleetError, objectionText } from '../../protocol/index.ts'

/** The largest manifest or index that is taken. Bytes; the distribution-spec ("Pushing Manifests") has registries take 4 MiB at least. */
export const MAX_DOCUMENT = 4 * 1024 * 1024

/** What one names another by (image-spec, descriptor.md). */
const descriptorSchema = z.object({
  mediaType: z.string().max(255),
  /** `ALGORITHM:ENCODED`; that of sha256 is the only one that is kept here. */
  digest: z.string().regex(/^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]{1,256}$/, 'expected a digest'),
  size: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
  urls: z.array(z.string()).max(64).optional(),
  artifactType: z.string().max(255).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})
export type Descriptor = z.infer<typeof descriptorSchema>

const common = {
  schemaVersion: z.literal(2),
  mediaType: z.string().max(255).optional(),
  artifactType: z.string().max(255).optional(),
  subject: descriptorSchema.optional(),
  annotations: z.record(z.string(), z.string()).optional(),
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
  let raw: unknown
  try {
    raw = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch {
    throw new FleetError('bad-input', 'the manifest is not JSON')
  }
  if (typeof raw !== 'object' || raw === null) throw new FleetError('bad-input', 'the manifest is no JSON object')
  // A document with both lists could be taken for either (CVE-2021-41190).
  if ('manifests' in raw && ('layers' in raw || 'config' in raw))
    throw new FleetError('bad-input', 'the manifest has manifests as an index does, and layers or a config as well')
  return 'manifests' in raw ? asIndex(raw) : asManifest(raw)
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
