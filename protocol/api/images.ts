import { z } from 'zod'
import { LIMITS } from '../limits.ts'
import { counter, digest, label, nodeId, publicKey } from '../statements/fields.ts'
import { list } from './fields.ts'

export const imageKind = z.enum(['tree', 'file'])
export type ImageKind = z.infer<typeof imageKind>

const PROVENANCE_CHARACTERS = 16 * 1024

/** What an image was made of, for people and audits: any JSON object of at most 16 KiB. */
export const provenance = z
  .record(z.string().max(LIMITS.name), z.unknown())
  .refine(
    value => JSON.stringify(value).length <= PROVENANCE_CHARACTERS,
    `expected at most ${PROVENANCE_CHARACTERS} characters of provenance`,
  )

export const buildSchema = z.strictObject({
  /** An absolute path on the daemon's host. */
  path: z.string().max(4096).startsWith('/', 'expected an absolute path'),
  name: label,
  version: label,
  /** Absent: a tree for a directory, a file for anything else. */
  kind: imageKind.optional(),
  labels: z.record(label, z.string().max(LIMITS.tagValue)).default({}),
  provenance: provenance.optional(),
})
export type Build = z.output<typeof buildSchema>

/** Bytes. `total` may still grow while a directory is being read. */
export const progressSchema = z.object({ done: counter, total: counter })
export type Progress = z.infer<typeof progressSchema>

export const builtSchema = z.object({
  digest,
  name: label,
  version: label,
  /** Bytes. */
  size: counter,
  chunks: counter,
  /** Those that the store did not have yet. */
  newChunks: counter,
})
export type Built = z.infer<typeof builtSchema>

export const imageSchema = z.object({
  digest,
  name: label,
  version: label,
  kind: imageKind,
  /** Bytes. */
  size: counter,
  chunks: counter,
  /** The chunks of it that this node holds, verified. All of them: the image is complete. */
  held: counter,
  /** True when a publisher of the policy signed its digest. */
  endorsed: z.boolean(),
})
export type ImageView = z.infer<typeof imageSchema>
export const imagesSchema = z.object({ images: list(imageSchema) })
export type Images = z.infer<typeof imagesSchema>

export const imageDetailSchema = imageSchema.extend({
  manifest: z.record(z.string(), z.unknown()),
  /** Who signed its digest. */
  endorsers: list(publicKey),
})
export type ImageDetail = z.infer<typeof imageDetailSchema>

export const fetchProgressSchema = z.object({
  /** Bytes that are here and verified, of `total`. */
  done: counter,
  total: counter,
  /** Bytes that were here before, from this image or another. */
  reused: counter,
  /** Bytes a second. */
  rate: z.number().nonnegative(),
  etaSeconds: z.number().nonnegative().nullable(),
  /** How many peers it is being fetched from. */
  peers: counter,
})
export type FetchProgress = z.infer<typeof fetchProgressSchema>

export const verifiedSchema = z.object({
  digest,
  chunks: counter,
  /** Chunks that are not here. */
  missing: counter,
  /** Chunks whose bytes do not match their digest. */
  damaged: list(digest),
})
export type Verified = z.infer<typeof verifiedSchema>

export const imagePeersSchema = z.object({
  peers: list(
    z.object({
      node: nodeId,
      name: label,
      /** Bytes of this image that came from it. */
      bytes: counter,
      /** Bytes of this image that went to it. */
      sent: counter,
      /** It says that it has the image, or is fetching it. */
      offers: z.boolean(),
      /** It sent bytes that did not match their digest, and is asked for nothing more. */
      banned: z.boolean(),
    }),
  ),
})
export type ImagePeers = z.infer<typeof imagePeersSchema>
