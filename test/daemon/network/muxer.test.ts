import fc from 'fast-check'
import { Uint8ArrayList } from 'uint8arraylist'
import { expect, test } from 'vitest'
import { coalescedGrants } from '../../../daemon/network/muxer.ts'

const frame = (type: number, flags: number, stream: number, length: number) => {
  const view = new DataView(new ArrayBuffer(12))
  view.setUint8(1, type)
  view.setUint16(2, flags)
  view.setUint32(4, stream)
  view.setUint32(8, length)
  return new Uint8Array(view.buffer)
}
const grantOf = (bytes: Uint8Array) => {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return { type: view.getUint8(1), flags: view.getUint16(2), stream: view.getUint32(4), length: view.getUint32(8) }
}

test('small window updates become few, never less than half a first window behind, and nothing else is touched', async () => {
  const grants = fc.array(
    fc.record({ stream: fc.integer({ min: 1, max: 3 }), length: fc.integer({ min: 1, max: 90_000 }) }),
  )
  await fc.assert(
    fc.asyncProperty(grants, async given => {
      const opening = frame(1, 1, 9, 0) // SYN
      const ping = frame(2, 1, 0, 5)
      const data = new Uint8ArrayList(frame(0, 0, 1, 3), Uint8Array.of(1, 2, 3))
      const sent: (Uint8Array | Uint8ArrayList)[] = []
      const source = async function* () {
        yield opening
        for (const { stream, length } of given) yield frame(1, 0, stream, length)
        yield ping
        yield data
      }
      for await (const piece of coalescedGrants().filter(source())) sent.push(piece)
      expect(sent[0]).toBe(opening)
      expect(sent.slice(-2)).toEqual([ping, data])
      const through = sent.slice(1, -2).map(piece => grantOf(piece.subarray()))
      for (const stream of [1, 2, 3]) {
        const sum = (list: readonly { stream: number; length: number }[]) =>
          list.filter(grant => grant.stream === stream).reduce((total, { length }) => total + length, 0)
        expect(sum(given) - sum(through)).toBeGreaterThanOrEqual(0)
        expect(sum(given) - sum(through)).toBeLessThan(128 * 1024)
      }
      expect(through.every(({ length }) => length >= 128 * 1024)).toBe(true)
    }),
  )
})
