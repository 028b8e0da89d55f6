import { decode, type ErrorCode, EXIT_CODE, encode, FleetError, LIMITS } from '../../protocol/index.ts'

/** Largest frame of an RPC stream: the body and what is around it. */
export const RPC_FRAME = LIMITS.rpcMessage + 1024
/** Characters of an error's message that travel: a sentence or a few. */
const MESSAGE = 4096

export interface RpcRequest {
  readonly service: string
  readonly body: Uint8Array
}

export const encodeRequest = ({ service, body }: RpcRequest): Uint8Array => encode([service, body])
export const encodeResponse = (body: Uint8Array): Uint8Array => encode([true, body])
export const encodeFailure = ({ code, message, detail }: FleetError): Uint8Array =>
  encode([false, [code, message.slice(0, MESSAGE), plainDetail(detail)]])

/** Throws `corrupt` or `too-large` on what is no request. */
export function decodeRequest(frame: Uint8Array): RpcRequest {
  const value = decode(frame, RPC_FRAME)
  const [service, body] = Array.isArray(value) ? (value as unknown[]) : []
  if (typeof service !== 'string' || !(body instanceof Uint8Array)) throw new FleetError('corrupt', 'malformed request')
  return { service, body }
}

/**
 * The body of a response. Throws the error that the other side answered with, under a code of ours and with no more of its
 * text than an error of ours would have; `corrupt` or `too-large` on what is no response.
 */
export function decodeResponse(frame: Uint8Array): Uint8Array {
  const value = decode(frame, RPC_FRAME)
  const [ok, result] = Array.isArray(value) ? (value as unknown[]) : []
  if (ok === true && result instanceof Uint8Array) return result
  const [code, message, detail] = ok === false && Array.isArray(result) ? (result as unknown[]) : []
  if (typeof code !== 'string' || typeof message !== 'string') throw new FleetError('corrupt', 'malformed response')
  const known: ErrorCode = Object.hasOwn(EXIT_CODE, code) ? (code as ErrorCode) : 'internal'
  // Byte strings are objects too, with an entry for each of half a million bytes.
  const isDetail = typeof detail === 'object' && detail !== null && Object.getPrototypeOf(detail) === Object.prototype
  throw new FleetError(known, message.slice(0, MESSAGE), {
    detail: isDetail ? plainDetail(detail as Record<string, unknown>) : {},
  })
}

/** Details that msgpack can carry; the rest is for the log of the host where it happened. */
function plainDetail(detail: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const plain = (value: unknown) => ['string', 'number', 'boolean'].includes(typeof value)
  return Object.fromEntries(Object.entries(detail).filter(([, value]) => plain(value)))
}
