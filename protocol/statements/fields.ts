import * as z from 'zod'
import type { Address, Digest, Millis, NodeId, PublicKey } from '../ids.ts'
import { LIMITS } from '../limits.ts'

// The fields that statements are made of: each schema is the border where outside text becomes a branded type.

export const digest = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected a digest')
  .transform(text => text as Digest)
export const publicKey = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected a public key')
  .transform(text => text as PublicKey)
export const nodeId = z
  .string()
  .regex(/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/, 'expected a node id')
  .transform(text => text as NodeId)
export const time = z
  .number()
  .int()
  .nonnegative()
  .max(Number.MAX_SAFE_INTEGER)
  .transform(value => value as Millis)
export const counter = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER)
export const address = z
  .string()
  .min(1)
  .max(256)
  .startsWith('/', 'expected a multiaddr')
  .transform(text => text as Address)
export const bytes = (max: number) =>
  z.custom<Uint8Array>(value => value instanceof Uint8Array && value.byteLength <= max, `expected at most ${max} bytes`)
/** Names of nodes, zones, groups and layers: what fits in a DNS label or two and needs no quoting in a shell. */
export const label = z
  .string()
  .max(LIMITS.name)
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$/, 'expected letters, digits, dot, dash or underscore')
/** A repository of a registry as the OCI distribution-spec has it ("Pulling manifests"), and no longer than other names here. */
export const repository = z
  .string()
  .max(LIMITS.name)
  .regex(
    /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/,
    'expected a repository: lower-case letters and digits, parted by dot, dash, underscore or slash',
  )
/** A tag of the OCI distribution-spec. */
export const tag = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/, 'expected a tag')
/** A tag, or a digest as registries write it. */
export const reference = z.union([tag, z.string().regex(/^sha256:[0-9a-f]{64}$/, 'expected a tag or a digest')])
export const reason = z.string().max(1024)
export const tags = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z0-9_.-]+$/, 'expected letters, digits, dot, dash or underscore')
      .max(LIMITS.tagKey),
    z.string().max(LIMITS.tagValue),
  )
  .refine(record => Object.keys(record).length <= LIMITS.tags, `expected at most ${LIMITS.tags} tags`)

/** A record of at most `max` entries. When there are more, none of them is looked at. */
export const recordOf = <K extends z.core.$ZodRecordKey, V extends z.ZodType>(key: K, value: V, max: number) =>
  z
    .custom<z.core.$InferZodRecordInput<K, V>>(
      given => typeof given === 'object' && given !== null && Object.keys(given).length <= max,
      `expected at most ${max} entries`,
    )
    .pipe(z.record(key, value))

/** What is expected of a node's presence: an intermittent one may be away without being failed. */
export const nodeClass = z.enum(['cloud', 'physical', 'intermittent'])
export type NodeClass = z.infer<typeof nodeClass>
