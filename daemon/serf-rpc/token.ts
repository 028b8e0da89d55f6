import { open } from 'node:fs/promises'
import { FleetError } from '../../protocol/index.ts'

const MAX_TOKEN = 512

/**
 * The token in `file`, without the white space around it. Throws `refused` when others can read the file, and `bad-input` when there
 * is no token in it.
 */
export async function readToken(file: string): Promise<string> {
  const handle = await open(file).catch((cause: Error) => {
    throw new FleetError('bad-input', `cannot read the token for Serf clients in ${file}: ${cause.message}`, { cause })
  })
  try {
    const { mode, size } = await handle.stat()
    if ((mode & 0o077) !== 0)
      throw new FleetError(
        'refused',
        `the token for Serf clients in ${file} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${file}`,
      )
    const token = size > 2 * MAX_TOKEN ? '' : (await handle.readFile('utf8')).trim()
    if (token === '' || Buffer.byteLength(token) > MAX_TOKEN)
      throw new FleetError('bad-input', `${file} should hold a token for Serf clients, of 1 to ${MAX_TOKEN} bytes`)
    return token
  } finally {
    await handle.close()
  }
}
