/** Why something could not be done. Each code has one exit code of fleetctl and one HTTP status of the API. */
export type ErrorCode =
  | 'bad-input' // the request itself is malformed
  | 'unauthenticated' // the API was shown no token, or a wrong one
  | 'too-many' // wrong tokens, of one asker
  | 'unauthorized' // a signature, certificate or key does not give the right
  | 'refused' // policy, plan lint or a denied digest forbids it
  | 'conflict' // another generation is active, or a name is ambiguous
  | 'not-found'
  | 'no-quorum' // too few voters answered
  | 'timeout'
  | 'unavailable' // the daemon, a peer or a resource cannot be reached now
  | 'corrupt' // bytes do not match their digest or do not decode
  | 'too-large' // past a stated limit
  | 'no-space' // disk full or quota reached
  | 'unclaimed' // the daemon belongs to no fleet yet
  | 'internal'

/** fleetctl's exit code for each error (INTERFACE: exit codes). */
export const EXIT_CODE: Record<ErrorCode, number> = {
  'bad-input': 2,
  unauthenticated: 5,
  'too-many': 5,
  unauthorized: 5,
  refused: 5,
  conflict: 6,
  'not-found': 1,
  'no-quorum': 7,
  timeout: 9,
  unavailable: 8,
  corrupt: 1,
  'too-large': 1,
  'no-space': 1,
  unclaimed: 1,
  internal: 1,
}

export const HTTP_STATUS: Record<ErrorCode, number> = {
  'bad-input': 400,
  unauthenticated: 401,
  'too-many': 429,
  unauthorized: 403,
  refused: 422,
  conflict: 409,
  'not-found': 404,
  'no-quorum': 503,
  timeout: 504,
  unavailable: 503,
  corrupt: 422,
  'too-large': 413,
  'no-space': 507,
  unclaimed: 409,
  internal: 500,
}

/** An error that an operator will read: `message` names the thing and the cause and, where there is one, the way out. */
export class FleetError extends Error {
  override readonly name = 'FleetError'
  readonly code: ErrorCode
  /** Machine-readable particulars, e.g. `{ generation: 8 }`. */
  readonly detail: Readonly<Record<string, unknown>>

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; detail?: Record<string, unknown> } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.detail = options.detail ?? {}
  }
}

/** Anything thrown, as a FleetError; what was none becomes `internal`. */
export function toFleetError(error: unknown): FleetError {
  if (error instanceof FleetError) return error
  if (error instanceof Error && error.name === 'AbortError')
    return new FleetError('timeout', 'the operation was cancelled or timed out', { cause: error })
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new FleetError('no-space', `the disk is full: ${(error as Error).message}; free some space and try again`, {
      cause: error,
    })
  return new FleetError('internal', error instanceof Error ? error.message : String(error), { cause: error })
}
