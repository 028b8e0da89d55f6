import { type FileHandle, open, stat } from 'node:fs/promises'
import { FleetError } from '../../protocol/index.ts'
import type { BundleSource } from './bundle.ts'

/** Read ahead at once. A USB stick is fast in large pieces only. */
const AHEAD = 1024 * 1024

/** A bundle in a file. Throws `bad-input` where there is none that can be read. */
export async function openBundleFile(path: string): Promise<BundleSource & { close(): Promise<void> }> {
  const unreadable = (why: string): FleetError => new FleetError('bad-input', `cannot import ${path}: ${why}`)
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(error.code === 'ENOENT' ? "there is no such file on the daemon's host" : error.message)
  })
  // A pipe could not be passed over, and a device has no end.
  if (!info.isFile()) throw unreadable('it is no regular file')
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    throw unreadable((error as Error).message)
  }
  let at = 0
  /** Bytes of the file from `from`. */
  let ahead: { from: number; bytes: Buffer } = { from: 0, bytes: Buffer.alloc(0) }

  const readAt = async (position: number, length: number): Promise<Buffer> => {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, info.size - position)))
    let filled = 0
    while (filled < bytes.byteLength) {
      const { bytesRead } = await file.read(bytes, filled, bytes.byteLength - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return bytes.subarray(0, filled)
  }
  return {
    size: info.size,
    async read(length) {
      if (at < ahead.from || at + length > ahead.from + ahead.bytes.byteLength)
        ahead = { from: at, bytes: await readAt(at, Math.max(length, AHEAD)) }
      const from = at - ahead.from
      const bytes = Uint8Array.prototype.slice.call(ahead.bytes, from, from + length)
      at += bytes.byteLength
      return bytes
    },
    async skip(length) {
      at += length
    },
    close: () => file.close(),
  }
}
