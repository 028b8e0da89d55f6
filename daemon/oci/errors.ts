import { type FleetError, HTTP_STATUS, toFleetError } from '../../protocol/index.ts'

/** The codes of the distribution-spec ("Error Codes"), and two of our own for what it has none for. */
export type OciCode =
  | 'BLOB_UNKNOWN'
  | 'BLOB_UPLOAD_INVALID'
  | 'BLOB_UPLOAD_UNKNOWN'
  | 'DIGEST_INVALID'
  | 'MANIFEST_BLOB_UNKNOWN'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'SIZE_INVALID'
  | 'DENIED'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  /** It is known, and cannot be had now. */
  | 'UNAVAILABLE'
  | 'UNKNOWN'

/** A refusal as a client of a registry understands it. */
export class OciError extends Error {
  override readonly name = 'OciError'
  readonly status: number
  readonly code: OciCode
  readonly detail: unknown
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: OciCode,
    message: string,
    options: { detail?: unknown; headers?: Readonly<Record<string, string>>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.status = status
    this.code = code
    this.detail = options.detail
    this.headers = options.headers ?? {}
  }
}

/** The body of an error response. */
export const bodyOf = ({ code, message, detail }: OciError): string =>
  JSON.stringify({ errors: [{ code, message, ...(detail === undefined ? {} : { detail }) }] })

/** Anything thrown, as a refusal. */
export function toOciError(error: unknown): OciError {
  if (error instanceof OciError) return error
  const found = toFleetError(error)
  return new OciError(HTTP_STATUS[found.code], codeOf(found), found.message, { cause: error })
}

function codeOf({ code }: FleetError): OciCode {
  switch (code) {
    case 'unauthorized':
    case 'unauthenticated':
    case 'too-many':
    case 'refused':
    case 'unclaimed':
      return 'DENIED'
    case 'too-large':
      return 'SIZE_INVALID'
    case 'no-space':
    case 'unavailable':
    case 'timeout':
    case 'no-quorum':
    case 'corrupt':
      return 'UNAVAILABLE'
    case 'bad-input':
    case 'conflict':
      return 'UNSUPPORTED'
    case 'not-found':
    case 'internal':
      return 'UNKNOWN'
    default:
      return code satisfies never
  }
}
