import { FleetError } from '../../protocol/index.ts'

const BLOCK = 512
/** The longest pax header or GNU long name that is let through: some hundred times what a path may have. Bytes. */
const MAX_EXTENSION = 64 * 1024
/** Entries of an image, headers of extensions counted. */
const MAX_HEADERS = 2_000_000

/** Kinds of entry by POSIX.1-2017 (pax, "ustar Interchange Format") and GNU: what a file is, what is no file, and what only says more of the next. */
const FILES = ['0', '\0', '7']
const EXTENSIONS = ['x', 'L', 'K']
const EMPTY = ['1', '2', '3', '4', '5', '6']

/**
 * Passes a tar on as it is, and looks at each of its headers first. A parser holds the headers that say more of the next entry in memory, whole, and
 * believes them: so one that is large, that gives the next entry another size than its own header, or that is global is refused here, as is an entry
 * that has content and is of a kind that has none. Throws `refused`.
 */
export async function* guardTar(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const header = Buffer.alloc(BLOCK)
  let headerBytes = 0
  let headers = 0
  /** What is left of the entry, its padding included, and the extension that it is. */
  let left = 0
  let extension: { bytes: Buffer; filled: number } | undefined
  for await (const piece of content) {
    for (let at = 0; at < piece.byteLength; ) {
      if (left > 0) {
        const taken = Math.min(left, piece.byteLength - at)
        if (extension !== undefined) {
          const part = piece.subarray(at, at + Math.min(taken, extension.bytes.byteLength - extension.filled))
          extension.bytes.set(part, extension.filled)
          extension.filled += part.byteLength
        }
        at += taken
        left -= taken
        if (left === 0 && extension !== undefined) assertModest(extension.bytes)
        if (left === 0) extension = undefined
        continue
      }
      const taken = Math.min(BLOCK - headerBytes, piece.byteLength - at)
      header.set(piece.subarray(at, at + taken), headerBytes)
      at += taken
      headerBytes += taken
      if (headerBytes < BLOCK) continue
      headerBytes = 0
      if (header.every(byte => byte === 0)) continue
      headers += 1
      if (headers > MAX_HEADERS) throw refused(`it has more than ${MAX_HEADERS} entries`)
      const { size, extends: more } = inspect(header)
      left = Math.ceil(size / BLOCK) * BLOCK
      if (more && size > 0) extension = { bytes: Buffer.alloc(size), filled: 0 }
    }
    yield piece
  }
  if (left > 0 || headerBytes > 0) throw refused('it ends in the middle of an entry')
}

/** The size of what follows a header, and whether that says more of the next entry. */
function inspect(header: Buffer): { size: number; extends: boolean } {
  const type = header.toString('latin1', 156, 157)
  const size = sizeIn(header.subarray(124, 136))
  if (EXTENSIONS.includes(type)) {
    if (size > MAX_EXTENSION) throw refused(`it has a name or an extended header of ${size} bytes`)
    return { size, extends: true }
  }
  if (EMPTY.includes(type)) {
    if (size > 0) throw refused('an entry that is no file has content')
    return { size, extends: false }
  }
  if (!FILES.includes(type)) throw refused(`it has an entry of kind ${JSON.stringify(type)}, which is not unpacked`)
  // What old archives mean by it is a directory, and those have no content.
  const name = header.toString('latin1', 0, 100).split('\0', 1)[0]!
  if (name.endsWith('/') && size > 0) throw refused('a directory has content')
  return { size, extends: false }
}

/** Octal digits, or with the first bit set a number in base 256 (GNU). */
function sizeIn(field: Buffer): number {
  if (field[0] === 0x80) {
    const size = field.subarray(1).reduce((sum, byte) => sum * 256 + byte, 0)
    if (Number.isSafeInteger(size)) return size
  } else {
    const digits = /^ *([0-7]*)[ \0]?/.exec(field.toString('latin1'))?.[1] ?? ''
    const rest = field.toString('latin1').trimStart().slice(digits.length)
    if (/^[ \0]*$/.test(rest)) return digits === '' ? 0 : Number.parseInt(digits, 8)
  }
  throw refused('an entry has no size that could be')
}

/** A pax record is `LENGTH KEY=VALUE`. A size there is that of the next entry, whatever its own header says. */
function assertModest(extension: Buffer): void {
  if (/(?:^|\n)\d+ (?:size|GNU\.sparse[^=]*)=/.test(extension.toString('latin1')))
    throw refused('an extended header changes the size of an entry')
}

const refused = (why: string): FleetError => new FleetError('refused', `the image cannot be unpacked: ${why}`)
