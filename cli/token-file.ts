import { open } from 'node:fs/promises'
import { FleetError } from '../protocol/errors.ts'
import { bearerIn, MAX_TOKEN_FILE } from '../protocol/token-file.ts'

const API = 'the API'

/** The token in the file. Throws `bad-input` when there is none that is fit for it, and `refused` when others can read it. */
export async function readToken(path: string): Promise<string> {
  const failed = (cause: Error): never => {
    throw new FleetError('bad-input', `cannot read the token for ${API} in ${path}: ${cause.message}`, { cause })
  }
  const handle = await open(path).catch(failed)
  try {
    const { mode, size } = await handle.stat()
    return bearerIn({ path, mode, text: size > MAX_TOKEN_FILE ? '' : await handle.readFile('utf8').catch(failed) }, API)
  } finally {
    await handle.close()
  }
}
