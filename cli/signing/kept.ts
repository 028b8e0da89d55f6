import { readFile, writeFile } from 'node:fs/promises'
import { FleetError, type FleetId, open, type Statement, type StatementKind, toDocument } from '../../protocol/index.ts'

// A statement on its way from one operator to the next: a file with what was signed in base64url, which says nothing secret.

/** Keeps it for others to sign. `fresh`: never writes over a file. */
export async function keep(file: string, { bytes }: Statement<unknown>, { fresh }: { fresh: boolean }): Promise<void> {
  await writeFile(file, `${toDocument(bytes)}\n`, { flag: fresh ? 'wx' : 'w' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw new FleetError('conflict', `${file} exists already; name another file`)
      throw new FleetError('bad-input', `cannot write ${file}: ${error.message}`, { cause: error })
    },
  )
}

/** Throws `bad-input` on a file that holds no such statement, `unauthorized` on one of another fleet or with a signature that does not verify. */
export async function readKept<T>(
  file: string,
  kind: StatementKind<T>,
  { fleet, what }: { readonly fleet: FleetId; readonly what: string },
): Promise<Statement<T>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FleetError('bad-input', `cannot read the ${what} in ${file}: ${error.message}`, { cause: error })
  })
  if (text.length > 2 * kind.maxBytes) throw new FleetError('bad-input', `${file} is too large to be a ${what}`)
  try {
    return open(kind, fleet, Uint8Array.from(Buffer.from(text.trim(), 'base64url')))
  } catch (error) {
    if (error instanceof FleetError && error.code !== 'unauthorized')
      throw new FleetError('bad-input', `${file} holds no ${what} that was kept with --sign: ${error.message}`)
    throw error
  }
}
