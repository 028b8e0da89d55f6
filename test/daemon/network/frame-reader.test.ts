import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { encode } from 'it-length-prefixed'
import { expect, test } from 'vitest'
import { createFrameReader } from '../../../daemon/network/bulk/frame-reader.ts'
import { withLength } from '../../../daemon/network/bulk/tls.ts'

const MAX = 300_000
const framed = (frames: readonly Uint8Array[]): Buffer =>
  Buffer.concat(frames.map(frame => encode.single(frame).subarray()))

/** Gives the bytes to a reader, cut at these places. */
function read(bytes: Buffer, cuts: readonly number[], max = MAX) {
  const frames: Uint8Array[] = []
  const reader = createFrameReader(max, frame => void frames.push(frame))
  const places = [0, ...cuts.map(cut => cut % (bytes.byteLength + 1)).sort((a, b) => a - b), bytes.byteLength]
  for (const [at, from] of places.slice(0, -1).entries()) {
    // Pieces share one buffer, as those of a socket do.
    const piece = Buffer.from(bytes.subarray(from, places[at + 1]!))
    reader.take(piece)
    piece.fill(0xee)
  }
  return { frames, inTheMiddle: reader.inTheMiddle }
}

test('frames are what it-length-prefixed made of them, wherever they are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.nat(300), fc.constantFrom(0, 1, 127, 128, 4_096, 16_384, 70_000, MAX)), { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (lengths, cuts) => {
        const frames = lengths.map(length => randomBytes(length))
        const { frames: came, inTheMiddle } = read(framed(frames), cuts)
        expect(came.length).toBe(frames.length)
        for (const [at, frame] of frames.entries()) expect(frame.equals(came[at]!)).toBe(true)
        expect(inTheMiddle).toBe(false)
      },
    ),
  )
})

test('the end of the bytes in the middle of a frame, or of its length, can be told from the end of one', () => {
  const bytes = framed([randomBytes(200)])
  for (let end = 1; end < bytes.byteLength; end++) expect(read(bytes.subarray(0, end), []).inTheMiddle).toBe(true)
  expect(read(bytes, []).inTheMiddle).toBe(false)
})

test('a length over the limit, or of no end, is refused before any of it is kept', () => {
  expect(() => read(framed([randomBytes(65)]), [], 64)).toThrow(/longer than 64 bytes/)
  expect(read(framed([randomBytes(64)]), [], 64).frames).toHaveLength(1)
  for (const hostile of [
    [0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
    [0xff, 0xff, 0xff, 0xff, 0x0f],
  ])
    expect(() => read(Buffer.from(hostile), [])).toThrow(expect.objectContaining({ code: 'corrupt' }))
})

test.each([0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])(
  'a frame of %i bytes is sent as it-length-prefixed would, in its own memory where there is room before it',
  length => {
    const memory = randomBytes(10 + length)
    const frame = memory.subarray(10)
    const expected = Buffer.from(encode.single(Uint8Array.from(frame)).subarray())
    const copied = withLength(frame, 0)
    expect(expected.equals(copied)).toBe(true)
    const before = Buffer.from(memory.subarray(0, 6))
    const inPlace = withLength(frame, 4)
    expect(expected.equals(inPlace)).toBe(true)
    expect(inPlace.buffer).toBe(memory.buffer)
    expect(memory.subarray(0, 6).equals(before)).toBe(true)
  },
)
