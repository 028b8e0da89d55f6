import { sha256 } from '../../../protocol/index.ts'
import type { DiskFile } from './disk.ts'
import { decodeTable, type Entry, HEAD, type Head, nextRecord, readHead, TRAILER, tableSize } from './format.ts'

/** What a pack holds, as it is found at the start. */
export interface Found {
  readonly entries: readonly Entry[]
  /** Where its last record ends. */
  readonly end: number
  /** Nothing is to be added any more: it has its table, or something in it has rotted, which who adds to it would vouch for. */
  readonly full: boolean
}

/**
 * Reads what is in a pack. One without a table, because it was being written when the process or the host ended, is walked from head to
 * head; only what may not have been on the disk then is compared with its digest, and what is behind the last good record is cut off. What it gives is on the disk.
 */
export async function recover(file: DiskFile): Promise<Found> {
  const size = await file.size()
  const table = await tableOf(file, size)
  if (table !== undefined) return { entries: table.entries, end: table.at, full: true }
  const heads = await walk(file, size)
  // Behind a rotten head the bytes of a chunk can pass for a record: nothing there is taken at its word.
  const synced = heads.reduce((most, { head, sure }) => (sure ? Math.max(most, head.synced) : most), 0)
  const entries: Entry[] = []
  let end = 0
  let unsure = false
  let whole = true
  for (const { offset, head, sure } of heads) {
    whole &&= sure
    if (!sure || offset >= synced) {
      unsure = true
      const good = await isGood(file, offset, head)
      // Writing got as far as here: nothing behind it was acknowledged.
      if (!good && sure) break
      if (!good) continue
    }
    entries.push({ digest: head.digest, offset, length: head.length })
    end = offset + HEAD + head.length
  }
  if (size > end) await file.truncate(end)
  // Good as it is read, it may still be in memory alone.
  if (unsure || size > end) await file.sync()
  return { entries, end, full: !whole }
}

async function tableOf(file: DiskFile, size: number): Promise<{ entries: Entry[]; at: number } | undefined> {
  if (size < TRAILER) return undefined
  const length = tableSize(await read(file, size - TRAILER, TRAILER), size)
  if (length === undefined) return undefined
  const entries = decodeTable(await read(file, size - length, length), size)
  return entries === undefined ? undefined : { entries, at: size - length }
}

interface Walked {
  readonly offset: number
  readonly head: Head
  /** Reached from head to head. */
  readonly sure: boolean
}

async function walk(file: DiskFile, size: number): Promise<Walked[]> {
  const heads: Walked[] = []
  const bytes = Buffer.alloc(HEAD)
  let sure = true
  for (let at = 0; at + HEAD <= size; ) {
    const head = (await file.read(bytes, at)) === HEAD ? readHead(bytes, 0) : undefined
    if (head !== undefined && at + HEAD + head.length <= size) {
      heads.push({ offset: at, head, sure })
      at += HEAD + head.length
      continue
    }
    // One rotten head must not take all that is behind it along.
    const next = await search(file, at + 1, size)
    if (next === undefined) break
    sure = false
    at = next
  }
  return heads
}

async function search(file: DiskFile, from: number, size: number): Promise<number | undefined> {
  const rest = await read(file, from, size - from)
  for (let at = nextRecord(rest, 0); at !== -1; at = nextRecord(rest, at + 1))
    if (readHead(rest, at) !== undefined) return from + at
  return undefined
}

async function isGood(file: DiskFile, offset: number, { length, digest }: Head): Promise<boolean> {
  return sha256(await read(file, offset + HEAD, length)) === digest
}

async function read(file: DiskFile, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  return bytes.subarray(0, await file.read(bytes, position))
}
