/** `AB:CD...` or `sha256:abcd...` in one form. Undefined where it is none. */
export function plainFingerprint(text: string): string | undefined {
  const digits = text
    .replace(/^sha-?256[:=]/i, '')
    .replaceAll(':', '')
    .toUpperCase()
  return /^[0-9A-F]{64}$/.test(digits) ? digits : undefined
}
