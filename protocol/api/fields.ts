import * as z from 'zod'
import type { FleetId } from '../ids.ts'

/** A signed document in JSON: unpadded base64url of at most `max` bytes. The daemon gets the bytes. */
export const document = (max: number) =>
  z
    .string()
    .max(Math.ceil((max * 4) / 3))
    .regex(/^[A-Za-z0-9_-]+$/, 'expected base64url')
    .transform(text => Uint8Array.from(Buffer.from(text, 'base64url')))

export const toDocument = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url')

/** A body that holds one signed statement. */
export const statementOf = (max: number) => z.strictObject({ statement: document(max) })

/** How people name an image: `name:version`, a digest, or the first digits of one. */
export const imageRef = z.string().regex(/^[A-Za-z0-9._:/-]{1,257}$/, 'expected name:version or a digest')

/** How a person names a node: a name, an id, or the beginning of one. */
export const nodeRef = z.string().regex(/^[A-Za-z0-9._-]{1,128}$/, 'expected the name or the id of a node')

/** A list that its reader does not change. */
export const list = <T extends z.ZodType>(item: T) => z.array(item).readonly()

export const fleetId = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'expected a fleet id')
  .transform(text => text as FleetId)
