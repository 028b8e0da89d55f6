import { createWriteStream } from 'node:fs'
import { lstat, mkdir, open, symlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Header } from 'tar-stream'
import { FleetError } from '../../protocol/index.ts'

const MAX_ENTRIES = 1_000_000

/**
 * Unpacks a canonical tar into an empty directory, and has all of it on disk when it resolves. Throws `refused` on whatever
 * would land outside the directory (absolute paths, `..`, a path through a symbolic link) or is no file, directory or symbolic link.
 */
export async function unpackTree(
  content: AsyncIterable<Uint8Array>,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const tar = extract()
  const feeding = pipeline(Readable.from(content, { objectMode: false }), tar as unknown as Writable, { signal }).catch(
    (error: unknown) => tar.destroy(error as Error),
  )
  const directories = new Set<string>([directory])
  let entries = 0
  try {
    for await (const entry of tar) {
      const { header } = entry
      entries += 1
      if (entries > MAX_ENTRIES) throw new FleetError('refused', `the image has more than ${MAX_ENTRIES} entries`)
      const target = await placeOf(directory, header)
      await mkdir(dirname(target), { recursive: true })
      directories.add(dirname(target))
      switch (header.type) {
        case 'directory':
          await mkdir(target, { recursive: true, mode: 0o755 })
          directories.add(target)
          entry.resume()
          break
        case 'symlink':
          await symlink(header.linkname ?? '', target)
          entry.resume()
          break
        case 'file':
          await pipeline(
            entry as never,
            createWriteStream(target, { flags: 'wx', mode: header.mode ?? 0o644, flush: true }),
            { signal },
          )
          break
        default:
          throw new FleetError(
            'refused',
            `the image holds ${JSON.stringify(header.name)} of type ${header.type}; only files, directories and symbolic links are unpacked`,
          )
      }
    }
  } finally {
    tar.destroy()
    await feeding
  }
  for (const path of directories) await sync(path)
}

/** A `file` image becomes the one file `image` in the directory. */
export async function unpackFile(
  content: AsyncIterable<Uint8Array>,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  await pipeline(
    Readable.from(content, { objectMode: false }),
    createWriteStream(join(directory, 'image'), { flags: 'wx', mode: 0o644, flush: true }),
    { signal },
  )
  await sync(directory)
}

async function placeOf(directory: string, header: Header): Promise<string> {
  const parts = header.name.split('/').filter(part => part !== '' && part !== '.')
  if (header.name.startsWith('/') || header.name.includes('\0') || parts.includes('..') || parts.length === 0) {
    throw new FleetError(
      'refused',
      `the image holds the path ${JSON.stringify(header.name)}, which leads out of its directory`,
    )
  }
  let path = directory
  for (const part of parts.slice(0, -1)) {
    path = join(path, part)
    const info = await lstat(path).catch(() => undefined)
    if (info?.isSymbolicLink())
      throw new FleetError(
        'refused',
        `the image holds the path ${JSON.stringify(header.name)}, which leads through a symbolic link`,
      )
  }
  return join(directory, ...parts)
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
