import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as z from 'zod'
import { decode, encode, FleetError, generateKeyPair, type KeyPair, keyPairFromSeed } from '../../protocol/index.ts'
import { diskError } from './disk-error.ts'
import { writeDurably } from './durable.ts'
import { damaged, type Files, NEW_IDENTITY } from './files.ts'
import { FOLDERS } from './stores.ts'

/** The layout of a data directory that this build understands. */
export const FORMAT = 1

const EPOCH_LIMIT = 1024
const epochSchema = z.tuple([z.string(), z.number().int().nonnegative()])

/** The format that the directory says it has; undefined when it says none. Throws `refused` on a newer one. Reads and does no more. */
export async function readFormat(path: string): Promise<number | undefined> {
  const file = join(path, 'format')
  const text = await readIfThere(file)
  if (text === undefined) return undefined
  const format = /^\d{1,9}\n?$/.test(text.toString('latin1')) ? Number(text.toString('latin1')) : 0
  if (format < 1)
    throw new FleetError(
      'corrupt',
      `${file} is damaged: it holds ${JSON.stringify(text.toString('latin1').slice(0, 20))} and not the number of a format; the format of this build is ${FORMAT}`,
      { detail: { file } },
    )
  if (format > FORMAT)
    throw new FleetError(
      'refused',
      `${path} was written by a newer fleetd (format ${format}; this build understands up to ${FORMAT}); start that one, or use another --data-dir`,
      { detail: { found: format, understood: FORMAT } },
    )
  return format
}

/**
 * The key and the start counter of the node that this directory is. Made once: `format` is written last, so a directory
 * without it never got as far as promising anything, and one with it must have all that belongs to the identity.
 */
export async function openIdentity(path: string, files: Files): Promise<{ key: KeyPair; epoch: number }> {
  if ((await readFormat(path)) === undefined) await create(path, files)
  const key = await readKey(join(path, 'node.key'))
  const epoch = (await readEpoch(path, files, key)) + 1
  if (!Number.isSafeInteger(epoch)) throw damaged('epoch', join(path, 'state/epoch'))
  await files.writeDurably('epoch', encode([key.publicKey, epoch]))
  return { key, epoch }
}

async function create(path: string, files: Files): Promise<void> {
  const file = join(path, 'format')
  if (await isInUse(files))
    throw new FleetError(
      'corrupt',
      `${file} is missing from a data directory that has been in use; if nothing else is missing, restore it: echo ${FORMAT} > ${file}`,
      { detail: { file } },
    )
  const key = generateKeyPair()
  await writeDurably(join(path, 'node.key'), key.seed)
  await files.writeDurably('epoch', encode([key.publicKey, 0]))
  await writeDurably(file, `${FORMAT}\n`)
}

/** True when a daemon has gone beyond making the directory: it was started, or it has kept something. */
async function isInUse(files: Files): Promise<boolean> {
  const folders: readonly string[] = FOLDERS
  for (const folder of folders) if ((await files.names(folder)).length > 0) return true
  const others = (await files.names('')).filter(name => name !== 'epoch' && !folders.includes(name))
  if (others.length > 0) return true
  const epoch = await files.readFile('epoch')
  return epoch !== undefined && epochSchema.safeParse(decode(epoch, EPOCH_LIMIT)).data?.[1] !== 0
}

async function readKey(file: string): Promise<KeyPair> {
  const seed = await readIfThere(file)
  if (seed?.byteLength !== 32)
    throw new FleetError(
      'corrupt',
      `${file} is ${seed === undefined ? 'missing' : `damaged (${seed.byteLength} bytes instead of 32)`}; restore it, or else ${NEW_IDENTITY}`,
      { detail: { file } },
    )
  return keyPairFromSeed(seed)
}

async function readEpoch(path: string, files: Files, key: KeyPair): Promise<number> {
  const file = join(path, 'state/epoch')
  const bytes = await files.readFile('epoch')
  if (bytes === undefined) throw new FleetError('corrupt', `${file} is missing; ${NEW_IDENTITY}`, { detail: { file } })
  const parsed = epochSchema.safeParse(decode(bytes, EPOCH_LIMIT))
  if (!parsed.success) throw damaged('epoch', file)
  const [owner, epoch] = parsed.data
  if (owner !== key.publicKey)
    throw new FleetError(
      'corrupt',
      `${join(path, 'node.key')} is not the key that the rest of this data directory belongs to; restore that key, or else ${NEW_IDENTITY}`,
      { detail: { file: join(path, 'node.key') } },
    )
  return epoch
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw diskError(error, file)
  }
}
