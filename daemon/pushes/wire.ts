import * as z from 'zod'
import { check, type Digest, decode, encode, FleetError, LIMITS } from '../../protocol/index.ts'

/** Network service: what pushes do you know? */
export const SERVICE = 'pushes'

/** Statements in one answer: they fit a response at their longest. */
export const MAX_STATEMENTS = 100

/**
 * `differ`: the ids that the other knows, unless their digest is the one given. `get`: the statements with these ids.
 */
export type Question =
  | { readonly type: 'differ'; readonly summary: Digest }
  | { readonly type: 'get'; readonly ids: readonly Digest[] }

const hex = z
  .string()
  .regex(/^[0-9a-f]{64}$/)
  .transform(text => text as Digest)
const questionSchema = z.union([
  z.tuple([z.literal('differ'), hex]),
  z.tuple([z.literal('get'), z.array(hex).max(MAX_STATEMENTS)]),
])
const idsSchema = z.array(hex).max(LIMITS.pushes + 1)
const statementsSchema = z
  .array(z.custom<Uint8Array>(value => value instanceof Uint8Array && value.byteLength <= LIMITS.push))
  .max(MAX_STATEMENTS)

export const encodeQuestion = (question: Question): Uint8Array =>
  encode(question.type === 'differ' ? [question.type, question.summary] : [question.type, question.ids])

export function decodeQuestion(body: Uint8Array): Question {
  const [type, what] = opened(questionSchema, body)
  return type === 'differ' ? { type, summary: what } : { type, ids: what }
}

export const encodeIds = (ids: readonly Digest[]): Uint8Array => encode(ids)
export const decodeIds = (body: Uint8Array): readonly Digest[] => opened(idsSchema, body)
export const encodeStatements = (statements: readonly Uint8Array[]): Uint8Array => encode(statements)
export const decodeStatements = (body: Uint8Array): readonly Uint8Array[] => opened(statementsSchema, body)

/** Throws `corrupt` or `too-large`. */
function opened<T>(schema: z.ZodType<T>, body: Uint8Array): T {
  const found = check(schema, decode(body, LIMITS.rpcMessage))
  if (!found.success) throw new FleetError('corrupt', 'not a message about pushes')
  return found.data
}
