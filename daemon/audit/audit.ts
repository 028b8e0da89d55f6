import { join } from 'node:path'
import type { Logger } from 'pino'
import { createBucket } from '../../membership/index.ts'
import {
  type AuditTail,
  type AuditWhat,
  type Millis,
  millis,
  type NodeId,
  nextEntry,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import { openSegments, type Segments } from './segments.ts'

/** Entries that wait for the disk: beyond them they are counted instead. A full disk must not become a full memory. */
const MAX_WAITING = 1_000
/** A disk that refused an entry is tried again after this. Milliseconds. */
const RETRY = 5_000
/**
 * What others can cause at will (plans that are refused): 60 entries at once, and one every 50 s after that; the rest is counted. At that pace it
 * takes them a year to push what is kept over its limit.
 */
const OUTSIDERS = { burst: 3_000, rate: 1, each: 50 }
/** How long entries are kept, and how much of them at most: half a million entries, more than a node has cause to write in that time. */
const KEEP = { time: 400 * 86_400_000, bytes: 256 * 1024 * 1024 }
/** How often it is looked whether some are older. Milliseconds. */
const LOOK_EVERY = 6 * 60 * 60_000

export interface Note extends Partial<Omit<AuditWhat, 'kind' | 'text'>>, Pick<AuditWhat, 'kind' | 'text'> {
  /** Somebody else can have this written as often as they like. */
  readonly outsider?: true
}

/** This node's audit log: what it did, refused and was ordered, one entry behind another (docs/audit.md). */
export interface Audit {
  /** Writes an entry, behind all before it. Returns at once: whoever must not go on before the disk has it awaits `flushed`. */
  note(note: Note): void
  /** Resolves when all that was noted is on disk. Rejects with what the disk says. */
  flushed(): Promise<void>
  tail(): AuditTail
  read: Segments['read']
  stop(): Promise<void>
}

export interface AuditInit {
  /** The data directory. */
  readonly directory: string
  readonly node: NodeId
  readonly version: string
  readonly epoch: number
  readonly now: () => Millis
  readonly log: Logger
  /** The log has grown; called when the disk has it. */
  readonly onGrown: () => void
}

/** Opens the log and says in it how it was found. */
export async function openAudit(init: AuditInit): Promise<Audit> {
  const { now, log } = init
  const segments = await openSegments(join(init.directory, 'audit'), init.node)
  const pace = createBucket(OUTSIDERS.rate, OUTSIDERS.burst)
  let waiting: { what: AuditWhat; at: Millis }[] = []
  let overflown = 0
  let held = 0
  let writing: Promise<void> | undefined
  let refused: unknown
  let retry: NodeJS.Timeout | undefined
  let stopped = false

  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const lines: string[] = []
      let tail = segments.tail()
      const taken = waiting.slice(0, 256)
      for (const { what, at } of taken) {
        const next = nextEntry(tail, at, what)
        lines.push(next.line)
        tail = next.tail
      }
      try {
        await segments.append(lines, tail)
      } catch (error) {
        if (refused === undefined) log.error({ err: error }, 'the audit log could not be written; it is tried again')
        refused = error
        if (!stopped) retry ??= setTimeout(pump, RETRY)
        return
      }
      if (refused !== undefined) log.info({}, 'the audit log is written again')
      refused = undefined
      waiting = waiting.slice(taken.length)
      if (overflown > 0) {
        const count = overflown
        overflown = 0
        put({
          kind: 'log-overflow',
          text: `${count} entries were not written, because the disk took none for too long`,
        })
      }
      init.onGrown()
    }
  }
  const pump = (): void => {
    retry = undefined
    writing ??= write().finally(() => {
      writing = undefined
    })
  }
  const put = ({ kind, text, subject = '', by = '', detail = {} }: Note): void => {
    if (waiting.length >= MAX_WAITING) overflown += 1
    else waiting.push({ what: { kind, text, subject, by, detail }, at: now() })
    if (retry === undefined) pump()
  }
  const note = (given: Note): void => {
    if (stopped) return
    if (given.outsider === true && !pace.take(now(), OUTSIDERS.each)) {
      held += 1
      return
    }
    if (held > 0) {
      const count = held
      held = 0
      put({ kind: 'log-overflow', text: `${count} entries about what others sent were not written: too many came` })
    }
    put(given)
  }

  const { torn, damaged } = segments.found
  if (torn !== undefined) {
    log.warn({ bytes: torn.byteLength }, 'the audit log ended in a torn entry, which is cut off')
    note({
      kind: 'log-torn',
      text: `the daemon ended while it wrote an entry: ${torn.byteLength} bytes of it were cut off`,
      detail: { sha256: sha256(torn), bytes: Buffer.from(torn.subarray(0, 384)).toString('base64') },
    })
  }
  if (damaged !== undefined) {
    log.error({ entry: damaged }, `entry ${damaged} of the audit log is damaged; see "fleetctl audit verify"`)
    note({
      kind: 'log-damaged',
      text: `entry ${damaged} was found damaged; it is left as it is`,
      detail: { entry: `${damaged}` },
    })
  }
  note({
    kind: 'started',
    subject: init.node,
    text: `fleetd ${init.version} started for the ${init.epoch}. time`,
    detail: { version: init.version, epoch: `${init.epoch}` },
  })

  /** What goes is said before it goes, with the hash that the rest hangs from. */
  const trim = async (): Promise<void> => {
    const old = await segments.old(millis(now() - KEEP.time), KEEP.bytes)
    if (old === undefined) return
    note({
      kind: 'log-trimmed',
      text: `entries ${old.from} to ${old.last.seq} are let go: they are older than ${KEEP.time / 86_400_000} days, or the log is larger than ${KEEP.bytes / 2 ** 20} MiB`,
      detail: { from: `${old.from}`, to: `${old.last.seq}`, hash: old.last.hash },
    })
    await flushed()
    await old.remove()
  }
  const looking = setInterval(() => {
    trim().catch(error => log.warn({ reason: toFleetError(error).message }, 'old audit entries could not be let go'))
  }, LOOK_EVERY)
  looking.unref()

  const flushed = async (): Promise<void> => {
    while (waiting.length > 0) {
      await writing
      if (refused !== undefined) throw refused
    }
  }
  return {
    note,
    flushed,
    tail: segments.tail,
    read: segments.read,
    async stop() {
      stopped = true
      clearInterval(looking)
      clearTimeout(retry)
      await flushed().catch(() => undefined)
      await segments.close()
    },
  }
}
