/** A bitmap over the indexes of a plan's roster: bit i is bit (i mod 8) of byte (i div 8). Values are never changed in place. */

export const emptyBits = (count: number): Uint8Array => new Uint8Array(Math.ceil(count / 8))

export const hasBit = (bits: Uint8Array, index: number): boolean => ((bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0

export function setBit(bits: Uint8Array, index: number): Uint8Array {
  const next = Uint8Array.from(bits)
  next[index >> 3] = (next[index >> 3] ?? 0) | (1 << (index & 7))
  return next
}

export function clearBit(bits: Uint8Array, index: number): Uint8Array {
  const next = Uint8Array.from(bits)
  next[index >> 3] = (next[index >> 3] ?? 0) & ~(1 << (index & 7))
  return next
}

export function countBits(bits: Uint8Array): number {
  let count = 0
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count += 1
  return count
}
