const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** A length of time in its largest unit: `3 min`. Milliseconds; what is in the future counts as now. */
export function ageOf(milliseconds: number): string {
  for (const [unit, length] of UNITS) if (milliseconds >= length) return `${Math.floor(milliseconds / length)} ${unit}`
  return 'now'
}

/** Bytes in binary units: `12.3 MiB`. */
export function bytesOf(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  let value = bytes
  while (value >= 1024 && at < units.length - 1) {
    value /= 1024
    at += 1
  }
  return `${at === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[at]}`
}

/** Enough of a digest or an id to tell it from the others. */
export const short = (text: string): string => text.slice(0, 12)

/** The last part of a node's id: the beginning is the same for all. */
export const shortId = (id: string): string => `…${id.slice(-8)}`

export const percent = (part: number, whole: number): string =>
  whole === 0 ? '0 %' : `${Math.floor((100 * part) / whole)} %`

/** Thousands apart by a narrow space: `5 000`. */
export const numberOf = (count: number): string => String(count).replaceAll(/\B(?=(\d{3})+$)/g, '\u202f')

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${numberOf(count)} ${count === 1 ? one : many}`

/** A multiaddr as people write it: `192.0.2.10:7946`, `[2001:db8::1]:7946`. */
export function addressOf(multiaddr: string): string {
  const [, kind, host, , port] = multiaddr.split('/')
  if (host === undefined || port === undefined) return multiaddr
  return kind === 'ip6' ? `[${host}]:${port}` : `${host}:${port}`
}

/** What an event carries: its text where it is text, otherwise how much it is. */
export function payloadOf(base64url: string): string {
  if (base64url === '') return ''
  const bytes = Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), char => char.charCodeAt(0))
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    if (!/[\p{Cc}\p{Cf}]/u.test(text.replaceAll(/[\n\t]/g, ''))) return text
  } catch {
    // No UTF-8.
  }
  return `${bytes.length} bytes`
}
