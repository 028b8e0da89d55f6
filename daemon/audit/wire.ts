import * as z from 'zod'
import { check, decode, encode, FleetError, fields, LIMITS, MAX_AUDIT_LINE, type NodeId } from '../../protocol/index.ts'
import type { Place, Segments } from './segments.ts'

/** Network services: a part of the log of whoever is asked, and the heads that it keeps of somebody's log. */
export const SERVICE = { log: 'audit-log', heads: 'audit-heads' } as const

/** Bytes of lines in one answer; one line always fits. */
export const PAGE = 256 * 1024

const place = z.object({ entry: fields.counter, line: fields.counter })
const page = z.object({
  lines: z.array(z.string().max(MAX_AUDIT_LINE)).max(PAGE / 65),
  /** Where to go on; null behind the newest. */
  next: place.nullable(),
})
export type Page = z.infer<typeof page>
const heads = z.array(fields.bytes(LIMITS.auditHead)).max(2 * LIMITS.auditHeads)

/** Throws `corrupt` or `too-large`. */
function opened<T>(schema: z.ZodType<T>, body: Uint8Array, max: number): T {
  const found = check(schema, decode(body, max))
  if (!found.success) throw new FleetError('corrupt', 'not a message about audit logs')
  return found.data
}

export const encodeFrom = ({ entry, line }: Place): Uint8Array => encode({ entry, line })
export const decodeFrom = (body: Uint8Array): Place => opened(place, body, 64)
export const encodePage = (given: Page): Uint8Array => encode(given)
export const decodePage = (body: Uint8Array): Page => opened(page, body, LIMITS.rpcMessage)
export const encodeNode = (node: NodeId): Uint8Array => encode(node)
export const decodeNode = (body: Uint8Array): NodeId => opened(fields.nodeId, body, 128)
export const encodeHeads = (given: readonly Uint8Array[]): Uint8Array => encode(given)
export const decodeHeads = (body: Uint8Array): readonly Uint8Array[] => opened(heads, body, LIMITS.rpcMessage)

/** A page of lines that come from a log. */
export async function pageOf(log: ReturnType<Segments['read']>): Promise<Page> {
  const lines: string[] = []
  let bytes = 0
  let next: Place | null = null
  for await (const { line, next: behind } of log) {
    if (bytes + line.length > PAGE && next !== null) return { lines, next }
    lines.push(line)
    bytes += line.length
    next = behind
  }
  return { lines, next: null }
}
