import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import {
  FleetError,
  formatKeyFile,
  generateKeyPair,
  type KeyPair,
  parseKeyFile,
  toFleetError,
} from '../protocol/index.ts'

/** The operator's key for `--init`: from its file, which is made when it is absent. It is used once, and this daemon forgets it. */
export async function operatorKey(file: string): Promise<KeyPair> {
  const info = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw toFleetError(error)
  })
  if (info === undefined) {
    const key = generateKeyPair()
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    await writeFile(file, formatKeyFile(key), { mode: 0o600, flag: 'wx' })
    return key
  }
  if ((info.mode & 0o077) !== 0)
    throw new FleetError(
      'refused',
      `the operator key ${file} can be read by others (mode ${(info.mode & 0o777).toString(8)}); run: chmod 600 ${file}`,
    )
  return parseKeyFile(await readFile(file, 'utf8'), process.env.FLEETCTL_PASSPHRASE)
}
