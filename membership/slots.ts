/** An array by slot, grown when needed. */
export function sized<T extends Uint8Array | Int32Array | Float64Array>(array: T, slot: number): T {
  if (slot < array.length) return array
  const longer = new (array.constructor as new (length: number) => T)(Math.max(64, Math.ceil((slot + 1) * 1.25)))
  longer.set(array as never)
  return longer
}
