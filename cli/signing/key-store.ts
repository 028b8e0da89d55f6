import { mkdir, open, readFile, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  describeKeyFile,
  FleetError,
  formatKeyFile,
  generateKeyPair,
  type KeyPair,
  type PublicKey,
  parseKeyFile,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { ask } from './passphrase.ts'

/** The key that signs. Throws `not-found` when there is none, `refused` when others could read it, `unauthorized` on a wrong passphrase. */
export async function loadKey(context: Context): Promise<KeyPair> {
  const content = await readKeyFile(context.keyFile)
  return named(context.keyFile, async () => {
    if (!describeKeyFile(content).encrypted) return parseKeyFile(content)
    const passphrase =
      context.terminal.env.FLEETCTL_PASSPHRASE ?? (await ask(`Passphrase of ${context.keyFile}: `, context))
    if (passphrase === undefined) {
      throw new FleetError('unauthorized', 'it is encrypted; set FLEETCTL_PASSPHRASE, or run fleetctl at a terminal')
    }
    return parseKeyFile(content, passphrase)
  })
}

/** What is known of the key without its passphrase. */
export async function describeKey(path: string): Promise<{ publicKey: PublicKey; encrypted: boolean }> {
  const content = await readKeyFile(path)
  return named(path, async () => describeKeyFile(content))
}

/** Makes a key and its file; never writes over one. Throws `conflict` when there is a file already. */
export async function createKey(context: Context): Promise<{ key: KeyPair; encrypted: boolean }> {
  const passphrase = await choosePassphrase(context)
  const key = generateKeyPair()
  await mkdir(dirname(context.keyFile), { recursive: true, mode: 0o700 })
  const file = await open(context.keyFile, 'wx', 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST')
      throw new FleetError('conflict', `${context.keyFile} exists already; name another file with --key`)
    throw new FleetError('internal', `cannot write the key to ${context.keyFile}: ${error.message}`, { cause: error })
  })
  try {
    await file.writeFile(formatKeyFile(key, passphrase))
    await file.sync()
  } finally {
    await file.close()
  }
  return { key, encrypted: passphrase !== undefined }
}

export async function keyExists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw new FleetError('internal', `cannot look at the key file ${path}: ${error.message}`, { cause: error })
    },
  )
}

async function readKeyFile(path: string): Promise<string> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT')
      throw new FleetError(
        'not-found',
        `there is no key at ${path}; name yours with --key, or make one with "fleetctl key new"`,
      )
    throw new FleetError('internal', `cannot look at the key file ${path}: ${error.message}`, { cause: error })
  })
  if (process.platform !== 'win32' && (info.mode & 0o077) !== 0) {
    const mode = (info.mode & 0o777).toString(8).padStart(4, '0')
    throw new FleetError('refused', `others can read the key ${path} (mode ${mode}); run: chmod 600 ${path}`)
  }
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FleetError('refused', `cannot read the key ${path}: ${error.message}`, { cause: error })
  })
}

/** An error about the content of the file, with its name in front. */
async function named<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof FleetError) throw new FleetError(error.code, `key ${path}: ${error.message}`, { cause: error })
    throw error
  }
}

async function choosePassphrase(context: Context): Promise<string | undefined> {
  const given = context.terminal.env.FLEETCTL_PASSPHRASE
  if (given !== undefined && given !== '') return given
  const typed = await ask(`Passphrase for the new key ${context.keyFile} (empty for none): `, context)
  if (typed === undefined || typed === '') return undefined
  if ((await ask('The same again: ', context)) !== typed)
    throw new FleetError('bad-input', 'the two passphrases differ')
  return typed
}
