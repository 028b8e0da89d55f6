import { createWriteStream } from 'node:fs'
import { lstat, mkdir, open, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract, type Header } from 'tar-stream'
import { FleetError } from '../../protocol/index.ts'
import { guardTar } from './tar-guard.ts'

const MAX_ENTRIES = 1_000_000
/** Bytes of one name and of a whole path (Linux: NAME_MAX, PATH_MAX); longer ones could be written nowhere. */
const MAX_NAME = 255
const MAX_PATH = 4_000

/**
 * Unpacks a canonical tar into an empty directory, and has all of it on disk when it resolves. Throws `refused`, with nothing written outside, on whatever
 * would land there (absolute paths, `..`, a path through a symbolic link), is no file, directory or symbolic link, is there twice, is in no directory
 * that was listed before, or has a name that is no UTF-8 or too long for a disk.
 */
export async function unpackTree(
  content: AsyncIterable<Uint8Array>,
  directory: string,
  signal: AbortSignal,
): Promise<void> {
  const tar = extract()
  let trouble: unknown
  const feeding = pipeline(Readable.from(guardTar(content), { objectMode: false }), tar as unknown as Writable, {
    signal,
  }).catch((error: unknown) => {
    trouble ??= error
    tar.destroy(error as Error)
  })
  const directories = new Set<string>([directory])
  let entries = 0
  try {
    for await (const entry of tar) {
      const { header } = entry
      entries += 1
      if (entries > MAX_ENTRIES) throw new FleetError('refused', `the image has more than ${MAX_ENTRIES} entries`)
      // Where and what it is comes first: nothing is made for an entry that is refused.
      const target = await placeOf(directory, header)
      switch (header.type) {
        case 'directory':
          await once(header, mkdir(target, { mode: 0o755 }))
          directories.add(target)
          entry.resume()
          break
        case 'symlink':
          await once(header, symlink(linkOf(header), target))
          entry.resume()
          break
        case 'file':
          await once(
            header,
            pipeline(
              entry as never,
              createWriteStream(target, { flags: 'wx', mode: (header.mode ?? 0o644) & 0o777, flush: true }),
              { signal },
            ),
          )
          break
        default:
          throw new FleetError(
            'refused',
            `the image holds ${JSON.stringify(header.name)} of type ${header.type}; only files, directories and symbolic links are unpacked`,
          )
      }
    }
  } catch (error) {
    throw unpackable(trouble ?? error)
  } finally {
    tar.destroy()
    await feeding
  }
  if (trouble !== undefined) throw unpackable(trouble)
  for (const path of directories) await sync(path)
}

/** What the parser of tar objects to is an objection to the image; the disk's and the caller's are theirs. */
function unpackable(error: unknown): unknown {
  if (error instanceof FleetError || (error as NodeJS.ErrnoException).code !== undefined) return error
  if (error instanceof Error && error.name !== 'AbortError')
    return new FleetError('refused', `the image cannot be unpacked: ${error.message}`, { cause: error })
  return error
}

/** Throws `refused` when what is to be made is there. Nothing was, before: it is in the image twice. */
async function once(header: Header, made: Promise<unknown>): Promise<void> {
  try {
    await made
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST')
      throw new FleetError('refused', `the image holds the path ${JSON.stringify(header.name)} twice`)
    throw error
  }
}

function linkOf({ name, linkname }: Header): string {
  if (linkname == null || linkname === '' || linkname.includes('\0') || Buffer.byteLength(linkname) > MAX_PATH)
    throw new FleetError(
      'refused',
      `the image holds the symbolic link ${JSON.stringify(name)}, which leads to nothing that could be`,
    )
  return linkname
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
  const { name } = header
  const refused = (why: string): FleetError =>
    new FleetError('refused', `the image holds the path ${JSON.stringify(name.slice(0, 200))}, which ${why}`)
  const parts = name.split('/').filter(part => part !== '' && part !== '.')
  if (name.startsWith('/') || name.includes('\0') || parts.includes('..') || parts.length === 0)
    throw refused('leads out of its directory')
  // What was no UTF-8 has become this character, and no path of ours has it.
  if (name.includes('\ufffd')) throw refused('is no UTF-8')
  if (Buffer.byteLength(name) > MAX_PATH || parts.some(part => Buffer.byteLength(part) > MAX_NAME))
    throw refused('is longer than a disk takes')
  let path = directory
  for (const part of parts.slice(0, -1)) {
    path = join(path, part)
    const info = await lstat(path).catch(() => undefined)
    if (info?.isSymbolicLink()) throw refused('leads through a symbolic link')
    if (info?.isDirectory() !== true) throw refused('is in no directory that the image holds')
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
