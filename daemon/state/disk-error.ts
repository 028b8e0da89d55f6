import { FleetError } from '../../protocol/index.ts'

/** What a disk refused, as an error that names the path: `no-space` when it is full, otherwise `unavailable`. */
export function diskError(error: unknown, path: string): FleetError {
  if (error instanceof FleetError) return error
  // LevelDB wraps the system's message; files have its code.
  const causes = [error, (error as { cause?: unknown }).cause].filter(part => part instanceof Error)
  const code = (error as NodeJS.ErrnoException).code
  const text = causes.map(part => part.message).join(': ')
  if (code === 'ENOSPC' || code === 'EDQUOT' || /no space left|disk quota/i.test(text))
    return new FleetError(
      'no-space',
      `the disk that holds ${path} is full; free some space: nothing that was acknowledged is lost`,
      { cause: error },
    )
  return new FleetError('unavailable', `${path}: ${text === '' ? String(error) : text}`, { cause: error })
}
