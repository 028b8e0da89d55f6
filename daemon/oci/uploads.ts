import { createHash, type Hash, randomUUID } from 'node:crypto'
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Digest } from '../../protocol/index.ts'
import { OciError } from './errors.ts'
import { parseContentRange, uploadRange } from './ranges.ts'
import type { Staging } from './staging.ts'

export interface UploadLimits {
  /** Uploads under way at once. */
  readonly sessions: number
  /** Blobs that no manifest has named yet. */
  readonly staged: number
  /** Bytes of one blob. */
  readonly blob: number
  /** Bytes of all uploads and of the blobs that no manifest has named yet. */
  readonly total: number
  /** How long an upload may rest, milliseconds. */
  readonly idle: number
  /** How long a request may send nothing, milliseconds. */
  readonly stall: number
}
export const UPLOAD_LIMITS: UploadLimits = {
  sessions: 64,
  staged: 4096,
  blob: 64 * 2 ** 30,
  total: 128 * 2 ** 30,
  idle: 3_600_000,
  stall: 60_000,
}

/** One blob on its way in. What it has is on disk, but not yet down to it: a restart ends it. */
export interface Upload {
  readonly id: string
  readonly repository: string
  /** Bytes that have come. */
  readonly bytes: number
}

/** What a request says of its body. */
export interface Incoming {
  readonly body: Readable | undefined
  readonly contentRange?: string | undefined
  readonly contentLength?: string | undefined
}

/** Uploads go straight to files, and are hashed on the way: none of them takes more memory than the piece in hand. */
export interface Uploads {
  begin(repository: string): Promise<Upload>
  /** Throws `BLOB_UPLOAD_UNKNOWN`. */
  find(repository: string, id: string): Upload
  /** Adds a body, which must begin where the upload ends. When the client goes away in the middle, what came counts. Throws OciError. */
  append(upload: Upload, incoming: Incoming): Promise<void>
  /** Adds the last of it and stages the blob, down to the disk. Throws `DIGEST_INVALID`, and has done with the upload. */
  finish(upload: Upload, digest: Digest, incoming: Incoming): Promise<void>
  cancel(upload: Upload): Promise<void>
  /** Cancels what has rested for too long. */
  sweep(now: number): Promise<void>
  close(): Promise<void>
}

interface Session extends Upload {
  bytes: number
  hash: Hash
  readonly file: FileHandle
  readonly path: string
  touched: number
  busy: boolean
}

export function createUploads(
  staging: Staging,
  locationOf: (upload: Upload) => string,
  limits: UploadLimits = UPLOAD_LIMITS,
): Uploads {
  const sessions = new Map<string, Session>()

  const end = async (session: Session): Promise<void> => {
    sessions.delete(session.id)
    await session.file.close().catch(() => undefined)
    await rm(session.path, { force: true })
  }
  const sessionOf = ({ id }: Upload): Session => {
    const session = sessions.get(id)
    if (session === undefined) throw unknown(id)
    return session
  }
  /** One request at a time: two that write at once would be one blob made of both. */
  const alone = async (upload: Upload, work: (session: Session) => Promise<void>): Promise<void> => {
    const session = sessionOf(upload)
    if (session.busy)
      throw new OciError(409, 'BLOB_UPLOAD_INVALID', 'another request writes to this upload; wait until that has ended')
    session.busy = true
    try {
      await work(session)
    } finally {
      session.busy = false
      session.touched = Date.now()
    }
  }
  const status = (session: Session): Readonly<Record<string, string>> => ({
    location: locationOf(session),
    range: uploadRange(session.bytes),
  })
  const outOfRange = (session: Session, message: string): OciError =>
    new OciError(416, 'BLOB_UPLOAD_INVALID', message, { headers: status(session) })

  const write = async (session: Session, { body, contentRange, contentLength }: Incoming): Promise<void> => {
    const range = contentRange === undefined ? undefined : parseContentRange(contentRange)
    if (contentRange !== undefined && range === undefined)
      throw outOfRange(
        session,
        `Content-Range ${JSON.stringify(contentRange.slice(0, 80))} is not of the form FIRST-LAST`,
      )
    if (range !== undefined && range.start !== session.bytes)
      throw outOfRange(session, `this chunk begins at ${range.start}, and the upload goes on at ${session.bytes}`)
    const stated = range === undefined ? undefined : range.end - range.start + 1
    if (stated !== undefined && contentLength !== undefined && Number(contentLength) !== stated)
      throw outOfRange(session, `Content-Range says ${stated} bytes, Content-Length ${contentLength.slice(0, 20)}`)
    if (body === undefined) return
    const before = { bytes: session.bytes, hash: session.hash.copy() }
    await pour(session, body, limits)
    if (range !== undefined && session.bytes !== range.end + 1) {
      const came = session.bytes - before.bytes
      Object.assign(session, before)
      throw outOfRange(session, `Content-Range says ${stated} bytes, and ${came} came`)
    }
  }
  const pour = async (session: Session, body: Readable, { stall }: UploadLimits): Promise<void> => {
    const timer = setTimeout(() => body.destroy(new Error(`nothing has come for ${stall / 1000} s`)), stall)
    try {
      for await (const piece of body as AsyncIterable<Buffer>) {
        timer.refresh()
        assertRoom(session, piece.byteLength)
        await session.file.write(piece, 0, piece.byteLength, session.bytes)
        session.hash.update(piece)
        session.bytes += piece.byteLength
      }
    } catch (error) {
      if (error instanceof OciError) {
        await end(session)
        throw error
      }
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') throw error
      throw new OciError(400, 'BLOB_UPLOAD_INVALID', `the body broke off: ${(error as Error).message}`, {
        cause: error,
      })
    } finally {
      clearTimeout(timer)
    }
  }
  const assertRoom = (session: Session, more: number): void => {
    const headers = { connection: 'close' }
    if (session.bytes + more > limits.blob)
      throw new OciError(413, 'SIZE_INVALID', `a blob may have ${limits.blob} bytes, and this one has more`, {
        headers,
      })
    const all = [...sessions.values()].reduce((sum, { bytes }) => sum + bytes, staging.bytes())
    if (all + more > limits.total)
      throw new OciError(413, 'SIZE_INVALID', `uploads may take ${limits.total} bytes together, and that is used up`, {
        headers,
      })
  }

  return {
    async begin(repository) {
      if (sessions.size >= limits.sessions)
        throw new OciError(429, 'TOOMANYREQUESTS', `${sessions.size} uploads are under way already; try again later`, {
          headers: { 'retry-after': '5' },
        })
      if (staging.count() >= limits.staged)
        throw new OciError(
          429,
          'TOOMANYREQUESTS',
          `${staging.count()} blobs wait for a manifest that names them; push that`,
        )
      const id = randomUUID()
      const path = join(staging.uploads, id)
      // Counted before the file is there: many that come at once are no more than the limit.
      const session = { id, repository, bytes: 0, hash: createHash('sha256'), path, touched: Date.now(), busy: true }
      sessions.set(id, session as unknown as Session)
      try {
        const opened: Session = Object.assign(session, { file: await open(path, 'wx', 0o600), busy: false })
        return opened
      } catch (error) {
        sessions.delete(id)
        throw error
      }
    },
    find(repository, id) {
      const session = sessions.get(id)
      if (session === undefined || session.repository !== repository) throw unknown(id)
      return session
    },
    append: (upload, incoming) => alone(upload, session => write(session, incoming)),
    finish: (upload, digest, incoming) =>
      alone(upload, async session => {
        await write(session, incoming)
        const actual = session.hash.copy().digest('hex')
        if (actual !== digest) {
          await end(session)
          throw new OciError(400, 'DIGEST_INVALID', `the content has digest sha256:${actual}, not sha256:${digest}`)
        }
        await session.file.truncate(session.bytes)
        await session.file.sync()
        await staging.add(digest, session.path, session.bytes)
        await end(session)
      }),
    cancel: upload => alone(upload, end),
    async sweep(now) {
      for (const session of sessions.values())
        if (!session.busy && now - session.touched > limits.idle) await end(session)
    },
    async close() {
      for (const session of [...sessions.values()]) await end(session)
    },
  }
}

const unknown = (id: string): OciError =>
  new OciError(
    404,
    'BLOB_UPLOAD_UNKNOWN',
    `no upload ${JSON.stringify(id.slice(0, 80))} is under way here; begin it anew`,
  )
