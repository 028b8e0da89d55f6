import * as z from 'zod'
import { FleetError } from '../../protocol/errors.ts'

/** What is about to be signed, checked as every daemon will check it. Throws `bad-input` naming the field. */
export function checked<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue?.path.join('.') ?? ''
  throw new FleetError(
    'bad-input',
    `${where === '' ? '' : `${where}: `}${issue?.message ?? z.prettifyError(result.error)}`,
  )
}
