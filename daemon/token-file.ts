import { open } from 'node:fs/promises'
import { FleetError, MAX_TOKEN_FILE, type TokenFile } from '../protocol/index.ts'

/** A file with a token, for `tokenIn` or `bearerIn` to look at. Throws `bad-input` when it cannot be read. */
export async function readTokenFile(path: string, use: string): Promise<TokenFile> {
  const failed = (cause: Error): never => {
    throw new FleetError('bad-input', `cannot read the token for ${use} in ${path}: ${cause.message}`, { cause })
  }
  const handle = await open(path).catch(failed)
  try {
    const { mode, size } = await handle.stat()
    return { path, mode, text: size > MAX_TOKEN_FILE ? '' : await handle.readFile('utf8').catch(failed) }
  } finally {
    await handle.close()
  }
}
