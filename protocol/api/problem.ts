import * as z from 'zod'
import { type ErrorCode, type FleetError, HTTP_STATUS } from '../errors.ts'

/** What an error looks like on the wire: a problem document (RFC 9457), with our code and particulars as extension members. */
export const problemSchema = z.object({
  /** Always `about:blank`: the code, not a URL, says what happened. */
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.enum(Object.keys(HTTP_STATUS) as [ErrorCode, ...ErrorCode[]]),
  particulars: z.record(z.string(), z.unknown()).optional(),
})
export type Problem = z.infer<typeof problemSchema>

export const PROBLEM_TYPE = 'application/problem+json'

export function toProblem(error: FleetError): Problem {
  return {
    type: 'about:blank',
    title: error.code.replaceAll('-', ' '),
    status: HTTP_STATUS[error.code],
    detail: error.message,
    code: error.code,
    ...(Object.keys(error.detail).length === 0 ? {} : { particulars: { ...error.detail } }),
  }
}
