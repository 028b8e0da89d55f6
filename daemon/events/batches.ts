import { createHash } from 'node:crypto'

// A segment of the journal is batches, one behind another. Each was put on disk before the next was written, so a batch that does not
// check out was never acknowledged if nothing whole is behind it, and is damage if something is.

const MAGIC = Buffer.from([0xf1, 0x45, 0x76, 0x31])
const HEADER = MAGIC.length + 4 + 32

/** Magic, length of the body, SHA-256 of the length and the body, body. */
export function sealBatch(body: Uint8Array): Buffer {
  const header = Buffer.alloc(HEADER)
  MAGIC.copy(header)
  header.writeUInt32BE(body.byteLength, MAGIC.length)
  checksum(header, body).copy(header, MAGIC.length + 4)
  return Buffer.concat([header, body])
}

export interface Segment {
  readonly bodies: readonly Uint8Array[]
  /** Where the last whole batch ends. */
  readonly length: number
  /** Something whole is behind what does not check out: it was damaged after it was written. */
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
  return { bodies, length: at, damaged: hasBatchBehind(content, at + 1) }
}

function batchAt(content: Buffer, at: number): Uint8Array | undefined {
  if (content.length < at + HEADER || content.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) !== 0)
    return undefined
  const header = content.subarray(at, at + HEADER)
  const end = at + HEADER + header.readUInt32BE(MAGIC.length)
  if (content.length < end) return undefined
  const body = content.subarray(at + HEADER, end)
  return checksum(header, body).equals(header.subarray(MAGIC.length + 4)) ? Uint8Array.from(body) : undefined
}

function hasBatchBehind(content: Buffer, from: number): boolean {
  for (let at = content.indexOf(MAGIC, from); at >= 0; at = content.indexOf(MAGIC, at + 1))
    if (batchAt(content, at) !== undefined) return true
  return false
}

const checksum = (header: Buffer, body: Uint8Array): Buffer =>
  createHash('sha256')
    .update(header.subarray(MAGIC.length, MAGIC.length + 4))
    .update(body)
    .digest()
