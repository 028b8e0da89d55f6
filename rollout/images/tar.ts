import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { pack } from 'tar-stream'
import { FleetError } from '../../protocol/index.ts'

/**
 * A directory as a canonical tar stream: entries sorted by the bytes of their path, all times zero, all owners zero, modes
 * 0755 or 0644 by the owner's execute bit. The same tree gives the same bytes on any host. Symbolic links are kept as they
 * are; hard links become files of their own. Throws `refused` on sockets, pipes and devices.
 */
export async function* tarOf(directory: string, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const tar = pack()
  const writing = write(tar, directory, signal).then(
    () => tar.finalize(),
    error => tar.destroy(error as Error),
  )
  try {
    for await (const piece of tar) yield piece as Uint8Array
  } finally {
    tar.destroy()
    await writing
  }
}

type EntryHeader = Parameters<ReturnType<typeof pack>['entry']>[0]

async function write(tar: ReturnType<typeof pack>, root: string, signal: AbortSignal): Promise<void> {
  for await (const path of walk(root, '')) {
    signal.throwIfAborted()
    const full = join(root, path)
    const info = await lstat(full)
    const header: EntryHeader = {
      name: path,
      mtime: new Date(0),
      uid: 0,
      gid: 0,
      uname: '',
      gname: '',
      mode: (info.mode & 0o100) !== 0 ? 0o755 : 0o644,
    }
    if (info.isDirectory()) await entry(tar, { ...header, name: `${path}/`, type: 'directory', mode: 0o755 })
    else if (info.isSymbolicLink())
      await entry(tar, { ...header, type: 'symlink', linkname: await readlink(full), mode: 0o777 })
    else if (info.isFile()) {
      const sink = tar.entry({ ...header, type: 'file', size: info.size })
      await pipeline(createReadStream(full, { highWaterMark: 256 * 1024 }), sink as unknown as Writable)
    } else
      throw new FleetError('refused', `${full} is neither file, directory nor symbolic link; an image cannot hold it`)
  }
}

/** An entry with no content of its own. */
function entry(tar: ReturnType<typeof pack>, header: EntryHeader): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry(header, error => (error == null ? resolve() : reject(error)))
  })
}

async function* walk(root: string, below: string): AsyncGenerator<string> {
  const names = await readdir(join(root, below))
  // By bytes, not by locale: the order is part of the digest.
  for (const name of names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
    const path = below === '' ? name : `${below}/${name}`
    yield path
    if ((await lstat(join(root, path))).isDirectory()) yield* walk(root, path)
  }
}
