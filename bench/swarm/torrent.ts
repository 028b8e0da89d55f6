import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import bencode from 'bencode'

/** What tools that make torrents take for a file of this size. Bytes. */
const PIECE = 256 * 1024

/** The metainfo of one file (BEP 3). */
export async function torrent(file: string, announce: string): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  for await (const piece of createReadStream(file, { highWaterMark: PIECE }))
    pieces.push(createHash('sha1').update(piece).digest())
  const { size } = await stat(file)
  const info = { length: size, name: basename(file), 'piece length': PIECE, pieces: Buffer.concat(pieces) }
  return bencode.encode({ announce, info })
}
