import { guardTar } from '../../../rollout/images/tar-guard.ts'
import { Broken, HOSTILE, type Target } from '../target.ts'

/** A header of tar with a checksum that is right. */
function header(type: string, size: string, name = 'a'): Buffer {
  const block = Buffer.alloc(512)
  for (const [text, at] of [
    [name, 0],
    ['0000644\0', 100],
    [size, 124],
    ['        ', 148],
    [type, 156],
    ['ustar\0' + '00', 257],
  ] as const)
    block.write(text, at, 'latin1')
  block.write(
    `${block
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  )
  return block
}
const padded = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)])

/** The content of an image of kind `tree`, before it is parsed. */
export const tar: Target = {
  name: 'tar',
  maxBytes: 64 * 1024,
  refusals: ['refused'],
  seeds: () => [
    ...HOSTILE.filter(input => input.byteLength < 64 * 1024),
    Buffer.concat([header('5', '0', 'a/'), header('0', '00000000003\0', 'a/b'), padded('abc'), Buffer.alloc(1024)]),
    Buffer.concat([header('x', '00000000014\0'), padded('12 path=abc\n'), header('0', '0')]),
    Buffer.concat([header('x', '00000000014\0'), padded('12 size=99\n\n'), header('0', '0')]),
    Buffer.concat([header('L', '00000000004\0'), padded('long'), header('2', '0')]),
    header('x', '77777777777\0'),
    header('0', '\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff'),
    header('g', '0'),
  ],
  async run(input) {
    async function* pieces() {
      for (let at = 0; at < input.byteLength; at += 100) yield input.subarray(at, at + 100)
    }
    const passed: Uint8Array[] = []
    for await (const piece of guardTar(pieces())) passed.push(piece)
    return Buffer.concat(passed)
  },
  verify(passed: Buffer, input) {
    if (Buffer.compare(passed, input) !== 0) throw new Broken('what was passed on is not what came in')
  },
}
