import { FleetError } from './errors.ts'

/** More is no token but another file. Bytes. */
export const MAX_TOKEN_FILE = 1_024
const MAX_TOKEN = 512

/** RFC 6750, 2.1: what may stand behind `Authorization: Bearer`. Nobody guesses 16 of these, where a generator chose them. */
const BEARER = /^[A-Za-z0-9._~+/-]{16,512}={0,2}$/

export interface TokenFile {
  readonly path: string
  /** As stat(2) has it. */
  readonly mode: number
  /** Its content, or nothing where that is over `MAX_TOKEN_FILE`. */
  readonly text: string
}

/**
 * The token in a file, without the white space around it. `use` says what it is for. Throws `refused` when others can read the file, and
 * `bad-input` when there is no token in it.
 */
export function tokenIn({ path, mode, text }: TokenFile, use: string): string {
  if ((mode & 0o077) !== 0)
    throw new FleetError(
      'refused',
      `the token for ${use} in ${path} can be read by others (mode ${(mode & 0o777).toString(8)}); run: chmod 600 ${path}`,
    )
  const token = text.trim()
  if (token === '' || new TextEncoder().encode(token).byteLength > MAX_TOKEN)
    throw new FleetError('bad-input', `${path} should hold a token for ${use}, of 1 to ${MAX_TOKEN} bytes`)
  return token
}

/** The same for a token that goes over HTTP and guards a door to other hosts: hard to guess, and fit for a header. */
export function bearerIn(file: TokenFile, use: string): string {
  const token = tokenIn(file, use)
  if (BEARER.test(token)) return token
  throw new FleetError(
    'bad-input',
    `the token for ${use} in ${file.path} should be 16 to 512 letters, digits and -._~+/ on one line; make one with: (umask 077; openssl rand -hex 32 > ${file.path})`,
  )
}
