import { createHash } from 'node:crypto'
import { createReadStream, type Stats } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { extract } from 'tar-stream'
import { type Digest, FleetError } from '../../protocol/index.ts'
import { contentOf } from './build.ts'
import { layoutFiles, spansOf } from './oci.ts'
import type { ImageStore } from './store.ts'

/** One thing that an unpacked image holds. */
export type TreeEntry =
  | { readonly path: string; readonly type: 'directory' }
  | { readonly path: string; readonly type: 'symlink'; readonly target: string }
  | { readonly path: string; readonly type: 'file'; readonly executable: boolean; readonly sha256: string }

/** How something in a slot differs from its image. */
export interface Difference {
  readonly path: string
  /** `mode`: somebody may write to it, or execute it, who may not by its image. `unreadable`: it could not be compared. */
  readonly what: 'missing' | 'extra' | 'content' | 'type' | 'link' | 'mode' | 'unreadable'
}

export interface DriftOptions {
  readonly signal: AbortSignal
  /** Paths that the program may write to, with all below them. */
  readonly ignore: readonly string[]
  /** Called before so many bytes are read, to hold the reading back. */
  readonly pace: (bytes: number) => Promise<void>
}

/** Differences that are told; a slot that was emptied has as many as its image has files. */
export const MAX_DIFFERENCES = 64

export interface Drift {
  readonly files: number
  readonly bytes: number
  /** The first ones, in order of their paths. */
  readonly differences: readonly Difference[]
  readonly total: number
}

/**
 * Compares a directory with the image that was unpacked and sealed in it: content by SHA-256, types, links, modes, what is missing and what is
 * there besides. The image is read from the store, whose chunks are verified as they are read, so nothing that was written down beside the slot has
 * to be believed. Throws `not-found` where a chunk of the image is not here.
 */
export async function driftOf(
  store: ImageStore,
  image: Digest,
  directory: string,
  options: DriftOptions,
): Promise<Drift> {
  const { signal, pace } = options
  const ignored = (path: string): boolean => options.ignore.some(each => path === each || path.startsWith(`${each}/`))
  const expected = new Set<string>()
  const found: Difference[] = []
  let files = 0
  let bytes = 0

  const compare = async (entry: TreeEntry): Promise<Difference['what'] | undefined> => {
    const path = join(directory, entry.path)
    const info = await lstat(path).catch(() => undefined)
    if (info === undefined) return 'missing'
    if (typeOf(info) !== entry.type) return 'type'
    if (entry.type === 'symlink') return (await readlink(path)) === entry.target ? undefined : 'link'
    if (entry.type === 'directory') return isSealed(info, true) ? undefined : 'mode'
    const hash = createHash('sha256')
    try {
      for await (const piece of createReadStream(path, { highWaterMark: 256 * 1024, signal })) {
        await pace((piece as Buffer).byteLength)
        hash.update(piece as Buffer)
        bytes += (piece as Buffer).byteLength
      }
    } catch {
      signal.throwIfAborted()
      return 'unreadable'
    }
    if (hash.digest('hex') !== entry.sha256) return 'content'
    return isSealed(info, entry.executable) ? undefined : 'mode'
  }

  for await (const entry of entriesOf(store, image, options)) {
    signal.throwIfAborted()
    // A directory that no entry names is made for what is in it.
    for (let at = entry.path.indexOf('/'); at > 0; at = entry.path.indexOf('/', at + 1))
      expected.add(entry.path.slice(0, at))
    expected.add(entry.path)
    if (ignored(entry.path)) continue
    files += 1
    const what = await compare(entry)
    if (what !== undefined) found.push({ path: entry.path, what })
  }
  for await (const path of pathsIn(directory, '')) {
    signal.throwIfAborted()
    if (!expected.has(path) && !ignored(path)) found.push({ path, what: 'extra' })
  }
  found.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0))
  return { files, bytes, differences: found.slice(0, MAX_DIFFERENCES), total: found.length }
}

/** What is unpacked from an image, as `unpackTree`, `unpackFile` and `unpackLayout` do it. */
async function* entriesOf(store: ImageStore, digest: Digest, options: DriftOptions): AsyncGenerator<TreeEntry> {
  const image = store.image(digest)
  if (image === undefined) throw new FleetError('not-found', `no image ${digest.slice(0, 12)} here`)
  const { kind } = image.manifest
  if (kind === 'oci') {
    // Blobs are named by their digests; they were checked when the layout was written.
    for (const { digest: blob } of spansOf(image))
      yield { path: `blobs/sha256/${blob}`, type: 'file', executable: false, sha256: blob }
    for (const [path, content] of await layoutFiles(store, image))
      yield { path, type: 'file', executable: false, sha256: sha256(content) }
    return
  }
  if (kind === 'file') {
    const hash = createHash('sha256')
    for await (const piece of paced(contentOf(store, digest), options.pace)) hash.update(piece)
    yield { path: 'image', type: 'file', executable: false, sha256: hash.digest('hex') }
    return
  }
  const tar = extract()
  const feeding = pipeline(
    Readable.from(paced(contentOf(store, digest), options.pace), { objectMode: false }),
    tar as unknown as Writable,
    { signal: options.signal },
  ).catch((error: unknown) => tar.destroy(error as Error))
  try {
    for await (const entry of tar) {
      const { name, type, mode = 0o644, linkname } = entry.header
      const path = name
        .split('/')
        .filter(part => part !== '' && part !== '.')
        .join('/')
      if (type === 'file') {
        const hash = createHash('sha256')
        for await (const piece of entry) hash.update(piece as Buffer)
        yield { path, type, executable: (mode & 0o100) !== 0, sha256: hash.digest('hex') }
        continue
      }
      entry.resume()
      yield type === 'symlink' ? { path, type, target: linkname ?? '' } : { path, type: 'directory' }
    }
  } finally {
    tar.destroy()
    await feeding
  }
}

async function* paced(content: AsyncIterable<Uint8Array>, pace: DriftOptions['pace']): AsyncGenerator<Uint8Array> {
  for await (const piece of content) {
    await pace(piece.byteLength)
    yield piece
  }
}

/** Everything below a directory; not through symbolic links. What cannot be listed shows nothing: its mode is told. */
async function* pathsIn(root: string, below: string): AsyncGenerator<string> {
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`
    yield path
    if (entry.isDirectory()) yield* pathsIn(root, path)
  }
}

const typeOf = (info: Stats): TreeEntry['type'] | 'other' =>
  info.isSymbolicLink() ? 'symlink' : info.isDirectory() ? 'directory' : info.isFile() ? 'file' : 'other'

/** Nobody may write to it, no bit gives it the rights of somebody else, and its owner may execute it exactly when the image says so. */
const isSealed = ({ mode }: Stats, executable: boolean): boolean =>
  (mode & 0o7222) === 0 && ((mode & 0o100) !== 0) === executable && (mode & 0o400) !== 0

const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex')
