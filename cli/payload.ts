import { plain } from './text.ts'

/** A payload of the API, unpadded base64url, as bytes. */
export const bytesOf = (payload: string): Buffer => Buffer.from(payload, 'base64url')

/** A payload for a person: as text, on one line, with nothing in it that a terminal would obey. */
export const payloadText = (payload: string): string => plain(bytesOf(payload).toString().trimEnd())

/** A payload for a program: `payload` as text where it is UTF-8, and otherwise `payloadBase64`. */
export function payloadFields(payload: string): { payload: string } | { payloadBase64: string } {
  const bytes = bytesOf(payload)
  const text = bytes.toString()
  return Buffer.compare(Buffer.from(text), bytes) === 0
    ? { payload: text }
    : { payloadBase64: bytes.toString('base64') }
}
