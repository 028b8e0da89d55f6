/** A header of tar (POSIX ustar) with a checksum that is right, whatever else is in it; `size` as it is to be written. */
export function tarHeader(type: string, size: string | Uint8Array, name = 'a'): Buffer {
  const block = Buffer.alloc(512)
  block.write(name, 0)
  block.write('0000644\0', 100)
  for (const at of [108, 116]) block.write('0000000\0', at)
  if (typeof size === 'string') block.write(size, 124, 'latin1')
  else block.set(size, 124)
  block.write('00000000000\0', 136)
  block.write('        ', 148)
  block.write(type, 156, 'latin1')
  block.write('ustar\0' + '00', 257)
  const sum = block.reduce((sum, byte) => sum + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}
