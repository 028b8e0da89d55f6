import { guardTar } from '../../../rollout/images/tar-guard.ts'
import { tarHeader } from '../../support/tar-header.ts'
import { Broken, HOSTILE, type Target } from '../target.ts'

const padded = (text: string): Buffer => Buffer.concat([Buffer.from(text), Buffer.alloc(512 - text.length)])

/** The content of an image of kind `tree`, before it is parsed. */
export const tar: Target = {
  name: 'tar',
  maxBytes: 64 * 1024,
  refusals: ['refused'],
  seeds: () => [
    ...HOSTILE.filter(input => input.byteLength < 64 * 1024),
    Buffer.concat([
      tarHeader('5', '0', 'a/'),
      tarHeader('0', '00000000003\0', 'a/b'),
      padded('abc'),
      Buffer.alloc(1024),
    ]),
    Buffer.concat([tarHeader('x', '00000000014\0'), padded('12 path=abc\n'), tarHeader('0', '0')]),
    Buffer.concat([tarHeader('x', '00000000014\0'), padded('12 size=99\n\n'), tarHeader('0', '0')]),
    Buffer.concat([tarHeader('L', '00000000004\0'), padded('long'), tarHeader('2', '0')]),
    tarHeader('x', '77777777777\0'),
    tarHeader('0', '\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff'),
    tarHeader('g', '0'),
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
