import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type AuditTail, auditGenesis, type Digest, type Millis, type NodeId, readLine } from '../../protocol/index.ts'
import { diskError, syncDirectory } from '../state/index.ts'

/** A segment that has grown so large is followed by a new one. Bytes. */
export const SEGMENT = 1024 * 1024

/** What was wrong with the end of a log when it was opened. */
export interface Found {
  /** Bytes behind the last line's end: an entry that was being written when the daemon ended. They are cut off; nobody was told of it. */
  readonly torn: Uint8Array | undefined
  /** The last entry that cannot be read, although it was written whole. It stays where it is. */
  readonly damaged: number | undefined
}

/**
 * Where to begin to read: so many lines into the segment that begins with this entry. Where no segment begins with it: at the entry itself.
 * Lines are counted and not entries, so that what is damaged is neither left out nor told twice.
 */
export interface Place {
  readonly entry: number
  readonly line: number
}

/**
 * The lines of an audit log in files, `audit/SEQ.log` with the number of its first entry: append-only, nothing is ever changed. It knows how
 * entries hang together only as far as it must to go on behind the last one.
 */
export interface Segments {
  readonly found: Found
  /** The newest entry. */
  tail(): AuditTail
  /** Resolves once the disk has them. One at a time. After a failure the same may be tried again. */
  append(lines: readonly string[], tail: AuditTail): Promise<void>
  /** The lines from there on, as far as the disk had them when it began, each with where to go on behind it. */
  read(from: Place): AsyncGenerator<{ readonly line: string; readonly next: Place }>
  /** Segments all of whose entries are older than `before`, or beyond `bytes` in all: the newest entry in them, and how to let them go. */
  old(before: Millis, bytes: number): Promise<{ last: AuditTail; from: number; remove(): Promise<void> } | undefined>
  close(): Promise<void>
}

const NAME = /^(\d{12})\.log$/
const nameOf = (seq: number): string => `${String(seq).padStart(12, '0')}.log`

/** Opens the log in `folder`, or makes it. Throws what the disk refused, naming the folder. */
export async function openSegments(folder: string, node: NodeId): Promise<Segments> {
  try {
    return await openFolder(folder, node)
  } catch (error) {
    throw diskError(error, folder)
  }
}

async function openFolder(folder: string, node: NodeId): Promise<Segments> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const starts = (await readdir(folder))
    .flatMap(name => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
  const pathOf = (start: number): string => join(folder, nameOf(start))

  let { tail, torn, damaged, length } = { ...NOTHING, tail: { seq: 0, hash: auditGenesis(node) } }
  // The newest segment with a whole entry says where the chain goes on; one that was just begun may have none.
  for (const [back, start] of starts.toReversed().entries()) {
    const end = endOf(await readFile(pathOf(start)), start)
    if (back === 0) ({ torn, length } = end)
    damaged ??= end.damaged
    if (end.tail === undefined) continue
    tail = end.tail
    break
  }
  let file: FileHandle | undefined
  let path = ''
  /** A write that failed has left something behind the end. */
  let soiled = torn !== undefined
  const newest = starts.at(-1)
  if (newest !== undefined) {
    path = pathOf(newest)
    file = await open(path, 'r+')
  }

  const begin = async (seq: number): Promise<void> => {
    const next = join(folder, nameOf(seq))
    const opened = await open(next, 'w+', 0o600)
    await syncDirectory(folder)
    await file?.close()
    file = opened
    path = next
    length = 0
    soiled = false
    starts.push(seq)
  }

  return {
    found: { torn, damaged },
    tail: () => tail,
    async append(lines, after) {
      const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
      try {
        if (file === undefined || length >= SEGMENT) await begin(tail.seq + 1)
        if (soiled) await file!.truncate(length)
        soiled = true
        let written = 0
        while (written < bytes.byteLength)
          written += (await file!.write(bytes, written, bytes.byteLength - written, length + written)).bytesWritten
        await file!.datasync()
      } catch (error) {
        throw diskError(error, path === '' ? folder : path)
      }
      soiled = false
      length += bytes.byteLength
      tail = after
    },
    async *read(from) {
      const all = [...starts]
      const size = length
      const within = Math.max(
        0,
        all.findLastIndex(start => start <= from.entry),
      )
      for (const [index, start] of all.entries()) {
        if (index < within) continue
        const content = await contentOf(pathOf(start))
        const whole = index === all.length - 1 ? content.subarray(0, size) : content
        const lines = whole.toString().split('\n').slice(0, -1)
        const skip = index > within || start > from.entry ? 0 : start === from.entry ? from.line : indexOf(lines, from)
        for (const [at, line] of lines.entries()) if (at >= skip) yield { line, next: { entry: start, line: at + 1 } }
      }
    },
    async old(before, bytes) {
      const sizes = await Promise.all(starts.map(async start => (await stat(pathOf(start))).size))
      let total = sizes.reduce((sum, size) => sum + size, 0)
      let gone = 0
      while (gone < starts.length - 1) {
        const next = await firstOf(pathOf(starts[gone + 1]!))
        if (next === undefined || (next.at >= before && total <= bytes)) break
        total -= sizes[gone]!
        gone += 1
      }
      if (gone === 0) return undefined
      const going = starts.slice(0, gone)
      const first = await firstOf(pathOf(starts[gone]!))
      return {
        from: going[0]!,
        last: { seq: starts[gone]! - 1, hash: first!.previous },
        async remove() {
          for (const start of going) {
            await rm(pathOf(start), { force: true })
            starts.splice(starts.indexOf(start), 1)
          }
          await syncDirectory(folder)
        },
      }
    },
    async close() {
      await file?.close()
      file = undefined
    },
  }
}

/** A segment that was let go meanwhile has no lines, as the entry about it says. */
async function contentOf(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw diskError(error, path)
  }
}

/** The first line with this entry or a later one. */
function indexOf(lines: readonly string[], from: Place): number {
  const found = lines.findIndex(line => (readLine(line).entry?.seq ?? 0) >= from.entry)
  return found < 0 ? lines.length : found
}

interface End {
  readonly tail: AuditTail | undefined
  readonly torn: Uint8Array | undefined
  readonly damaged: number | undefined
  /** Up to where the file is lines. */
  readonly length: number
}
const NOTHING: Omit<End, 'tail'> = { torn: undefined, damaged: undefined, length: 0 }

/** Where a segment ends. A line that cannot be read counts as one entry, with the hash that it states: the chain goes on behind it, and it stays as proof. */
function endOf(content: Buffer, start: number): End {
  const length = content.lastIndexOf(10) + 1
  const torn = length === content.byteLength ? undefined : Uint8Array.from(content.subarray(length))
  const lines = content.subarray(0, length).toString().split('\n').slice(0, -1)
  const lastWhole = lines.findLastIndex(line => readLine(line).entry !== undefined)
  if (lines.length === 0) return { tail: undefined, torn, damaged: undefined, length }
  const before = lastWhole < 0 ? start - 1 : readLine(lines[lastWhole]!).entry!.seq
  const seq = before + (lines.length - 1 - lastWhole)
  const { stated, actual } = readLine(lines.at(-1)!)
  return { tail: { seq, hash: stated ?? actual }, torn, damaged: seq > before ? seq : undefined, length }
}

/** The first entry of a segment; undefined where it cannot be read: such a segment and those before it stay. */
async function firstOf(path: string): Promise<{ at: Millis; previous: Digest } | undefined> {
  const content = await readFile(path)
  return readLine(content.subarray(0, content.indexOf(10)).toString()).entry
}
