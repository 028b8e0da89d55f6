import * as z from 'zod'

/** The first thing that a schema objects to. A stranger's message can give it reason for thousands. */
export interface Objection {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

export type Checked<T> =
  | { readonly success: true; readonly data: T }
  | { readonly success: false; readonly objection: Objection }

/**
 * What a schema makes of a value that came from outside. Never throws. (zod asks whatever has a `length` how long it is, also where it
 * expected a list and found a map, and `{ length: { toString: 1 } }` cannot be compared with anything.)
 */
export function check<T>(schema: z.ZodType<T>, value: unknown): Checked<T> {
  try {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed
    const [issue] = parsed.error.issues
    return {
      success: false,
      objection: { path: issue?.path ?? [], message: issue?.message ?? 'not what was expected' },
    }
  } catch {
    return { success: false, objection: { path: [], message: 'not what was expected' } }
  }
}

/** An objection as a short line: what and where. */
export const objectionText = ({ path, message }: Objection): string =>
  (path.length === 0 ? message : `${message} at ${z.core.toDotPath([...path])}`).replaceAll('\n', ' ').slice(0, 512)
