/** Version n of a value: its number, and 64 KiB made of it, so that a mixture of two versions shows. */
export function contentOf(n: number): Uint8Array {
  const bytes = Buffer.alloc(64 * 1024 + (n % 7) * 4096, n % 251)
  bytes.writeUInt32BE(n)
  return bytes
}
