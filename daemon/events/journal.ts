import { type FileHandle, mkdir, open, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type EventsState, type Kept, keptOf, NO_EVENTS, type Remembered, restore } from '../../membership/index.ts'
import { FleetError, type FleetId, type NodeId } from '../../protocol/index.ts'
import { diskError, syncDirectory } from '../state/index.ts'
import { readBatches, sealBatch } from './batches.ts'
import { decodeRecords, encodeRecords, type JournalRecord } from './records.ts'

/** A segment that has grown so large is followed by a new one. Bytes. */
const SEGMENT = 1024 * 1024

/**
 * What this node remembers of events, on disk: segments of batches, each segment beginning with the whole state. A batch is one write
 * however many events it holds, so a storm costs little more than a single event. Why not LevelDB: docs/decisions/0006.
 */
export interface Journal {
  readonly state: EventsState
  readonly kept: readonly Kept[]
  /**
   * Resolves once they outlive the process, and with `sync` a power cut, they and all before them. After a failure the same, and
   * what came since, may be tried again. One at a time.
   */
  append(records: readonly Remembered[], options: { sync: boolean }): Promise<void>
  /** Resolves once a power cut takes away nothing of what was appended before. */
  sync(): Promise<void>
  /** The segment is large enough; the next `roll` begins another. */
  full(): boolean
  /** Begins a segment with `state`, which is that after all that was appended, and lets those go whose events are all before `oldest`. */
  roll(state: EventsState, oldest: number): Promise<void>
  close(): Promise<void>
}

interface Old {
  readonly path: string
  readonly newest: number
}

/** Opens the journal in `folder`, or makes it. Throws `corrupt` naming the file when it is not what was written. */
export async function openJournal(folder: string, fleet: FleetId, self: NodeId): Promise<Journal> {
  try {
    return await openSegments(folder, fleet, self)
  } catch (error) {
    throw diskError(error, folder)
  }
}

async function openSegments(folder: string, fleet: FleetId, self: NodeId): Promise<Journal> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const names = (await readdir(folder)).filter(name => /^\d{8}$/.test(name)).sort()
  const old: Old[] = []
  const kept: Kept[] = []
  let state = NO_EVENTS
  let length = 0
  let number = 0
  for (const [index, name] of names.entries()) {
    const path = join(folder, name)
    const last = index === names.length - 1
    const content = await readFile(path)
    const segment = readBatches(content)
    if (segment.damaged || (!last && segment.length < content.length)) throw damaged(path, folder)
    // A crash before its first batch was on disk: nothing hangs on it.
    if (segment.bodies.length === 0) {
      await rm(path)
      continue
    }
    const records = readRecords(segment.bodies, fleet, path, folder)
    const [first, ...since] = records
    if (first?.type !== 'state' || since.some(record => record.type === 'state')) throw damaged(path, folder)
    const changes = since as Remembered[]
    for (const record of changes) if (record.type === 'deliver') kept.push(keptOf(record.event))
    state = restore(self, first.state, changes)
    old.push({ path, newest: kept.at(-1)?.cursor ?? 0 })
    length = segment.length
    number = Number(name)
  }

  let path = ''
  let file: FileHandle | undefined
  let newest = kept.at(-1)?.cursor ?? 0
  /** Of the length, what a power cut takes nothing of. */
  let synced = 0
  /** A write that failed has left something behind the end. */
  let soiled = true

  const sync = async (): Promise<void> => {
    const [of, end] = [file, length]
    try {
      await of!.datasync()
    } catch (error) {
      if (file === of) throw diskError(error, path)
    }
    // Meanwhile the next segment may have been begun, which syncs this one first.
    if (file === of) synced = Math.max(synced, end)
  }
  /** Writes at the end of what is known to be whole: over what an attempt that failed has left there. */
  const write = async (records: readonly JournalRecord[]): Promise<void> => {
    const batch = sealBatch(encodeRecords(records), synced)
    try {
      if (soiled) await file!.truncate(length)
      soiled = true
      let written = 0
      while (written < batch.byteLength)
        written += (await file!.write(batch, written, batch.byteLength - written, length + written)).bytesWritten
      soiled = false
    } catch (error) {
      throw diskError(error, path)
    }
    length += batch.byteLength
  }
  const begin = async (next: EventsState): Promise<void> => {
    number += 1
    path = join(folder, String(number).padStart(8, '0'))
    length = 0
    synced = 0
    soiled = false
    file = await open(path, 'w+', 0o600)
    await write([{ type: 'state', state: next }])
    await sync()
    await syncDirectory(folder)
  }

  const newestSegment = old.pop()
  if (newestSegment === undefined) await begin(state)
  else {
    path = newestSegment.path
    file = await open(path, 'r+')
    await file.truncate(length)
    await sync()
  }

  return {
    state,
    kept,
    async append(records, options) {
      const before = length
      await write(records)
      try {
        if (options.sync) await sync()
      } catch (error) {
        // It is written again, whole.
        length = before
        soiled = true
        throw error
      }
      for (const record of records) if (record.type === 'deliver') newest = record.event.cursor
    },
    sync,
    full: () => length >= SEGMENT,
    async roll(next, oldest) {
      await sync()
      const before = { path, file, length, number, synced, soiled }
      try {
        await begin(next)
      } catch (error) {
        // The old segment goes on.
        await file?.close().catch(() => undefined)
        await rm(path, { force: true }).catch(() => undefined)
        ;({ path, file, length, number, synced, soiled } = before)
        throw diskError(error, folder)
      }
      await before.file?.close()
      old.push({ path: before.path, newest })
      while (old.length > 0 && old[0]!.newest < oldest) await rm(old.shift()!.path, { force: true })
    },
    async close() {
      await file?.datasync().catch(() => undefined)
      await file?.close()
    },
  }
}

function readRecords(bodies: readonly Uint8Array[], fleet: FleetId, path: string, folder: string): JournalRecord[] {
  try {
    return bodies.flatMap(body => decodeRecords(fleet, body))
  } catch (error) {
    throw damaged(path, folder, error)
  }
}

function damaged(path: string, folder: string, cause?: unknown): FleetError {
  return new FleetError(
    'corrupt',
    `${path} is damaged: its content is not what was written; without it this node does not know which user events it has delivered. To go on without that, delete ${folder}: events that the others still keep are then only there to be replayed, and cursors begin anew`,
    { cause, detail: { file: path } },
  )
}
