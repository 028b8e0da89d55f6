import { createHash } from 'node:crypto'

// A segment of the journal is batches, one behind another. Each says how much of the segment was known to be on disk when it was written.
// So what does not check out is damage if a whole batch behind it counted on it, and otherwise what a power cut left of the end.

const MAGIC = Buffer.from([0xf1, 0x45, 0x76, 0x31])
const LENGTH = MAGIC.length
const SYNCED = LENGTH + 4
const CHECKSUM = SYNCED + 4
const HEADER = CHECKSUM + 32

/** Magic, length of the body, `synced`: bytes of the segment that are on disk, SHA-256 of both and the body, body. */
export function sealBatch(body: Uint8Array, synced: number): Buffer {
  const header = Buffer.alloc(HEADER)
  MAGIC.copy(header)
  header.writeUInt32BE(body.byteLength, LENGTH)
  header.writeUInt32BE(synced, SYNCED)
  checksum(header, body).copy(header, CHECKSUM)
  return Buffer.concat([header, body])
}

export interface Segment {
  readonly bodies: readonly Uint8Array[]
  /** Where the last whole batch ends. */
  readonly length: number
  /** What does not check out was on disk once. */
  readonly damaged: boolean
}

/** The batches of a segment, as far as they are whole from the beginning on. */
export function readBatches(content: Buffer): Segment {
  const bodies: Uint8Array[] = []
  let at = 0
  for (let body = batchAt(content, at); body !== undefined; body = batchAt(content, at)) {
    bodies.push(body)
    at += HEADER + body.byteLength
  }
  return { bodies, length: at, damaged: isCountedOn(content, at) }
}

function batchAt(content: Buffer, at: number): Uint8Array | undefined {
  if (content.length < at + HEADER || content.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0)
    return undefined
  const header = content.subarray(at, at + HEADER)
  const end = at + HEADER + header.readUInt32BE(LENGTH)
  if (content.length < end) return undefined
  const body = content.subarray(at + HEADER, end)
  return checksum(header, body).equals(header.subarray(CHECKSUM)) ? Uint8Array.from(body) : undefined
}

function isCountedOn(content: Buffer, bad: number): boolean {
  for (let at = content.indexOf(MAGIC, bad + 1); at >= 0; at = content.indexOf(MAGIC, at + 1))
    if (batchAt(content, at) !== undefined && content.readUInt32BE(at + SYNCED) > bad) return true
  return false
}

const checksum = (header: Buffer, body: Uint8Array): Buffer =>
  createHash('sha256').update(header.subarray(LENGTH, CHECKSUM)).update(body).digest()
