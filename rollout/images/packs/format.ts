import { crc32 } from 'node:zlib'
import { CHUNK, type Digest } from '../../../protocol/index.ts'

/**
 * What is in a pack file: records one behind the other, and once nothing more is added a table of them, so that it can be opened without
 * being read. Numbers are unsigned, of 4 bytes and big-endian; checksums are CRC-32 (RFC 1952, section 8).
 *
 *   record   head and the bytes of one chunk
 *   head     "FLC1", SHA-256 of the chunk, its length, `synced`, checksum of the chunk, checksum of the head up to here
 *   table    for each record that is good: SHA-256, offset, length; then their number, checksum of all before, "FLCTABLE"
 */
export const HEAD = 52
const RECORD = Buffer.from('FLC1')
const ENTRY = 40
const TABLE = Buffer.from('FLCTABLE')
/** Bytes behind the entries of a table. */
export const TRAILER = 8 + TABLE.byteLength

export interface Head {
  readonly digest: Digest
  readonly length: number
  /** All of this file before here was on the disk when this record was written: it need not be looked at after a crash. */
  readonly synced: number
  readonly checksum: number
}

/** Where a record begins, and the length of its chunk. */
export interface Entry {
  readonly digest: Digest
  readonly offset: number
  readonly length: number
}

export const checksumOf = (bytes: Uint8Array): number => crc32(bytes)

export function writeHead(into: Buffer, at: number, { digest, length, synced, checksum }: Head): void {
  RECORD.copy(into, at)
  into.write(digest, at + 4, 'hex')
  into.writeUInt32BE(length, at + 36)
  into.writeUInt32BE(synced, at + 40)
  into.writeUInt32BE(checksum, at + 44)
  into.writeUInt32BE(crc32(into.subarray(at, at + 48)), at + 48)
}

/** Undefined where there is no head. */
export function readHead(from: Buffer, at: number): Head | undefined {
  if (from.byteLength - at < HEAD || from.compare(RECORD, 0, 4, at, at + 4) !== 0) return undefined
  const length = from.readUInt32BE(at + 36)
  if (from.readUInt32BE(at + 48) !== crc32(from.subarray(at, at + 48)) || length > CHUNK.max) return undefined
  return {
    digest: from.toString('hex', at + 4, at + 36) as Digest,
    length,
    synced: from.readUInt32BE(at + 40),
    checksum: from.readUInt32BE(at + 44),
  }
}

/** The next place, from `at` on, where a record can begin; -1 when there is none. */
export const nextRecord = (from: Buffer, at: number): number => from.indexOf(RECORD, at)

export function encodeTable(entries: readonly Entry[]): Buffer {
  const bytes = Buffer.alloc(entries.length * ENTRY + TRAILER)
  let at = 0
  for (const { digest, offset, length } of entries) {
    bytes.write(digest, at, 'hex')
    bytes.writeUInt32BE(offset, at + 32)
    bytes.writeUInt32BE(length, at + 36)
    at += ENTRY
  }
  bytes.writeUInt32BE(entries.length, at)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, at + 4)), at + 4)
  TABLE.copy(bytes, at + 8)
  return bytes
}

/** Bytes of the table that a file of this size ends in, from its last bytes; undefined when it does not end in one. */
export function tableSize(trailer: Buffer, fileSize: number): number | undefined {
  if (trailer.byteLength !== TRAILER || trailer.compare(TABLE, 0, TABLE.byteLength, 8) !== 0) return undefined
  const size = trailer.readUInt32BE(0) * ENTRY + TRAILER
  return size <= fileSize ? size : undefined
}

/** Undefined unless it is whole, and all that it names lies before it. */
export function decodeTable(table: Buffer, fileSize: number): Entry[] | undefined {
  const end = table.byteLength - TRAILER
  if (table.readUInt32BE(end + 4) !== crc32(table.subarray(0, end + 4))) return undefined
  const entries: Entry[] = []
  for (let at = 0; at < end; at += ENTRY) {
    const [offset, length] = [table.readUInt32BE(at + 32), table.readUInt32BE(at + 36)]
    if (length > CHUNK.max || offset + HEAD + length > fileSize - table.byteLength) return undefined
    entries.push({ digest: table.toString('hex', at, at + 32) as Digest, offset, length })
  }
  return entries
}
