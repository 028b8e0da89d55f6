import * as msgpack from '@msgpack/msgpack'
import * as z from 'zod'
import { check, FleetError } from '../../protocol/index.ts'

/** Numbers a request; what answers it carries the same. Serf's is an unsigned 64-bit number: a bigint where it is past what a number holds. */
export type Seq = number | bigint

export interface RequestHeader {
  readonly Command: string
  readonly Seq: Seq
}

/**
 * One header or body from a client; each is a map. Text comes as bytes, because which of the two it is depends on the
 * client's msgpack: those of before 2013 have one type for both. The schemas say which it has to be. Throws `corrupt`.
 */
export function decodeMap(bytes: Uint8Array): object {
  let value: unknown
  try {
    value = msgpack.decode(bytes, { rawStrings: true, useBigInt64: true })
  } catch (cause) {
    throw new FleetError('corrupt', 'a message is not valid msgpack', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw new FleetError('corrupt', 'a message is not a map')
  return value
}

/** A response header and, where there is one, its body, as they go on the wire. */
export function encodeResponse(seq: Seq, error: string, body?: unknown): Uint8Array {
  const header = msgpack.encode({ Seq: seq, Error: error }, { useBigInt64: typeof seq === 'bigint' })
  return body === undefined ? header : Buffer.concat([header, msgpack.encode(body)])
}

const utf8 = new TextDecoder()
const EMPTY = new Uint8Array()
const raw = z.custom<Uint8Array>(value => value instanceof Uint8Array, 'expected text or bytes')

/** Bytes; Go's clients send nil for none. */
export const payload = raw.nullish().transform(bytes => bytes ?? EMPTY)
export const text = payload.transform(bytes => utf8.decode(bytes))
export const flag = z
  .boolean()
  .nullish()
  .transform(value => value ?? false)
/** A whole number from nought; a bigint only where a number cannot hold it. */
export const counter = z
  .union([z.number().int().nonnegative(), z.bigint().nonnegative()])
  .transform((value): Seq => (typeof value === 'bigint' && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value))
export const texts = z
  .array(text)
  .nullish()
  .transform(list => list ?? [])
export const textMap = z
  .record(z.string(), text)
  .nullish()
  .transform(map => map ?? {})

export const headerSchema = z.object({ Command: text, Seq: counter.default(0) })

/** `value` as `schema` has it. Throws `corrupt` naming the field. */
export function shaped<T>(schema: z.ZodType<T>, value: object): T {
  const checked = check(schema, value)
  if (checked.success) return checked.data
  const { path, message } = checked.objection
  throw new FleetError('corrupt', `${path.join('.') || 'message'}: ${message}`)
}
