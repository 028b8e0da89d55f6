import * as z from 'zod'
import { imageName, imageVersion, manifestSchema, provenanceSchema } from '../manifest.ts'
import { counter, digest, label, nodeId, publicKey } from '../statements/fields.ts'
import { imageRef, list } from './fields.ts'

const imageKind = manifestSchema.shape.kind
export type ImageKind = z.infer<typeof imageKind>

export const buildSchema = z.strictObject({
  /** An absolute path on the daemon's host. */
  path: z.string().max(4096).startsWith('/', 'expected an absolute path'),
  name: label,
  version: label,
  /** Kind `oci` is not built but pushed to the registry (`--oci`). */
  kind: imageKind.exclude(['oci']),
  labels: manifestSchema.shape.labels.default({}),
  provenance: provenanceSchema.default({}),
  requires: manifestSchema.shape.requires.optional(),
  barrier: z.boolean().optional(),
  reversible: z.boolean().optional(),
})
export type Build = z.output<typeof buildSchema>

/** Bytes. `total` is null where nobody knows it yet. */
export const progressSchema = z.object({ done: counter, total: counter.nullable() })
export type Progress = z.infer<typeof progressSchema>

export const builtSchema = z.object({
  digest,
  name: imageName,
  version: imageVersion,
  /** Bytes. */
  size: counter,
  chunks: counter,
  /** Those that the store did not have yet. */
  newChunks: counter,
})
export type Built = z.infer<typeof builtSchema>

/**
 * Why an image stays on a node. `busy`: it is being fetched, unpacked, verified or exported; `copy`: this node is one of those that
 * keep what was pushed to a registry of the fleet.
 */
export const keptFor = z.enum(['running', 'previous', 'staged', 'wanted', 'pinned', 'busy', 'copy'])
export type KeptFor = z.infer<typeof keptFor>

export const imageSchema = z.object({
  digest,
  name: imageName,
  version: imageVersion,
  kind: imageKind,
  /** Bytes. */
  size: counter,
  chunks: counter,
  /** The chunks of it that this node holds, verified. All of them: the image is complete. */
  held: counter,
  /** True when a publisher of the policy signed its digest. */
  endorsed: z.boolean(),
  /** It stays on this node until it is unpinned. */
  pinned: z.boolean(),
  /** Why it is not collected on this node; empty: it goes when its space is needed. */
  kept: list(keptFor),
})
export type ImageView = z.infer<typeof imageSchema>
export const imagesSchema = z.object({ images: list(imageSchema) })
export type Images = z.infer<typeof imagesSchema>

export const imageDetailSchema = imageSchema.extend({
  manifest: manifestSchema,
  /** Who signed its digest. */
  endorsers: list(publicKey),
})
export type ImageDetail = z.infer<typeof imageDetailSchema>

export const pinnedSchema = z.object({ digest, name: imageName, version: imageVersion, pinned: z.boolean() })
export type Pinned = z.infer<typeof pinnedSchema>

export const removedSchema = z.object({
  digest,
  name: imageName,
  version: imageVersion,
  /** Bytes that came free: chunks that other images have too stay. */
  bytes: counter,
})
export type Removed = z.infer<typeof removedSchema>

export const collectSchema = z.strictObject({
  /** Every image that is not kept for something goes, whether or not space is needed. */
  all: z.boolean().default(false),
  /** Only tells what would go. */
  dryRun: z.boolean().default(false),
})
export type Collect = z.output<typeof collectSchema>
export const collectedSchema = z.object({
  images: list(z.object({ digest, name: imageName, version: imageVersion })),
  chunks: counter,
  /** Bytes that came free, or would. */
  bytes: counter,
  dryRun: z.boolean(),
  /** Bytes: what all chunks take now and may take, what the file system has left and has to be left with. */
  used: counter,
  quota: counter,
  free: counter,
  minFree: counter,
})
export type Collected = z.infer<typeof collectedSchema>

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

export const exportQuerySchema = z.strictObject({
  /** An image that whoever imports has: what it has too is left out. */
  since: imageRef.optional(),
  /** `true`: the newest plans that bring the image come along. */
  plan: z.enum(['true', 'false']).default('false'),
})

export const importSchema = z.strictObject({
  /** An absolute path on the daemon's host. */
  path: z.string().max(4096).startsWith('/', 'expected an absolute path'),
})
export const importedSchema = z.object({
  digest,
  name: imageName,
  version: imageVersion,
  /** Bytes. */
  size: counter,
  chunks: counter,
  /** Those that were read: the others were here before. */
  newChunks: counter,
  /** Policies that this daemon did not know yet. */
  policies: counter,
  plans: list(
    z.object({
      group: label,
      generation: counter,
      /** Its group is that of this node, and its ledger took it. Otherwise it is passed on to whoever it is for. */
      started: z.boolean(),
      /** Why it was not started. */
      reason: z.string(),
    }),
  ),
})
export type Imported = z.infer<typeof importedSchema>

export const verifyQuerySchema = z.strictObject({
  /** `true`: chunks that are damaged or missing are fetched from peers. */
  repair: z.enum(['true', 'false']).default('false'),
})
export const verifiedSchema = z.object({
  digest,
  chunks: counter,
  /** Chunks that are not here. */
  missing: counter,
  /** Chunks whose bytes do not match their digest. */
  damaged: list(digest),
  /** Of those, and of the missing ones, how many have come anew from peers. */
  repaired: counter,
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
