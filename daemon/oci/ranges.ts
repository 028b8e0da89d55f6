/** Bytes of a content, both ends included, as HTTP counts them. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/**
 * What a `Range` header asks of a content of `size` bytes (RFC 9110, section 14). `whole`: no header, or one that may be ignored because it
 * is of another unit, malformed or asks for several ranges. `none`: nothing of it is there, which is status 416.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'whole' | 'none' {
  const [, first, last] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(header ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'whole'
  if (first === '') {
    const length = Math.min(Number(last), size)
    return length === 0 ? 'none' : { start: size - length, end: size - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return 'whole'
  if (start >= size) return 'none'
  return { start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}

/** The `Content-Range` of a chunk that is pushed, which the distribution-spec writes without a unit: `0-99`. Undefined when it is none. */
export function parseContentRange(header: string): ByteRange | undefined {
  const [, first, last] = /^(\d{1,15})-(\d{1,15})$/.exec(header) ?? []
  if (first === undefined || Number(last) < Number(first)) return undefined
  return { start: Number(first), end: Number(last) }
}

/** The `Range` header of an upload that has `bytes` bytes. Of none it says `0-0` all the same, as the spec has it. */
export const uploadRange = (bytes: number): string => `0-${Math.max(0, bytes - 1)}`
