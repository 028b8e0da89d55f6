import fs from 'node:fs'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** The few things that packs ask of a file system, so that tests can lose what was not synced. Everything rejects with the system's error. */
export interface Disk {
  list(): Promise<readonly string[]>
  /** For reading and writing. */
  open(name: string): Promise<DiskFile>
  /** A new, empty file. */
  create(name: string): Promise<DiskFile>
  /** Whoever has it open can go on reading. */
  remove(name: string): Promise<void>
  /** Which files there are is on disk when it resolves. */
  sync(): Promise<void>
}

export interface DiskFile {
  /** Bytes that were read: fewer than asked for only at the end of the file. */
  read(into: Uint8Array, position: number): Promise<number>
  /** All of it, or it rejects; a part may have been written then. */
  write(parts: readonly Uint8Array[], position: number): Promise<void>
  size(): Promise<number>
  truncate(size: number): Promise<void>
  /** What was written is on disk when it resolves. */
  sync(): Promise<void>
  close(): Promise<void>
}

const [open, fdatasync, fstat, ftruncate, close] = [
  promisify(fs.open),
  promisify(fs.fdatasync),
  promisify(fs.fstat),
  promisify(fs.ftruncate),
  promisify(fs.close),
]

/** Parts that one call writes at most (IOV_MAX of Linux, writev(2)). */
const MAX_PARTS = 1024

/** A folder of the real file system, which is made where it is missing. */
export async function folder(path: string): Promise<Disk> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  return {
    list: () => readdir(path),
    open: async name => fileOf(await open(join(path, name), 'r+')),
    create: async name => fileOf(await open(join(path, name), 'wx+', 0o600)),
    remove: name => rm(join(path, name), { force: true }),
    async sync() {
      const fd = await open(path, 'r')
      try {
        await fdatasync(fd)
      } finally {
        await close(fd)
      }
    },
  }
}

/** Numbers and callbacks: a FileHandle costs twice the time for a chunk. */
function fileOf(fd: number): DiskFile {
  const readOnce = (into: Uint8Array, position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.read(fd, into, 0, into.byteLength, position, (error, count) =>
        error === null ? resolve(count) : reject(error),
      )
    })
  const writeOnce = (parts: readonly Uint8Array[], position: number): Promise<number> =>
    new Promise((resolve, reject) => {
      fs.writev(fd, parts, position, (error, count) => (error === null ? resolve(count) : reject(error)))
    })
  return {
    async read(into, position) {
      let done = 0
      while (done < into.byteLength) {
        const count = await readOnce(done === 0 ? into : into.subarray(done), position + done)
        if (count === 0) break
        done += count
      }
      return done
    },
    async write(parts, position) {
      for (let left = parts, at = position; left.length > 0; ) {
        const count = await writeOnce(left.slice(0, MAX_PARTS), at)
        at += count
        left = behind(left, count)
      }
    },
    size: async () => (await fstat(fd)).size,
    truncate: size => ftruncate(fd, size),
    sync: () => fdatasync(fd),
    close: () => close(fd),
  }
}

/** What is left of the parts behind their first `count` bytes. */
function behind(parts: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let at = 0
  let left = count
  while (at < parts.length && left >= parts[at]!.byteLength) left -= parts[at++]!.byteLength
  return left === 0 ? parts.slice(at) : [parts[at]!.subarray(left), ...parts.slice(at + 1)]
}
