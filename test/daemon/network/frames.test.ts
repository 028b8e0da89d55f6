import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { encode } from 'it-length-prefixed'
import { expect, test } from 'vitest'
import { frames } from '../../../daemon/network/frames.ts'

const streamOf = (...pieces: Uint8Array[]): Stream =>
  ({
    source: (async function* () {
      yield* pieces
    })(),
    sink: async () => {},
    timeline: {},
    abort() {},
  }) as unknown as Stream

test('a frame that comes in crumbs is given up before they fill the memory, however long the stream', async () => {
  const frame = encode.single(new Uint8Array(64 * 1024)).subarray()
  const byByte = (bytes: Uint8Array): Uint8Array[] => Array.from(bytes, byte => Uint8Array.of(byte))
  const whole = frames(streamOf(...byByte(frame)), 64 * 1024)
  await expect(whole.incoming.next()).rejects.toMatchObject({ code: 'corrupt', message: 'a frame comes in crumbs' })
  // What is small may be as crumbled as it likes, for ever: each frame is counted anew.
  const small = encode.single(new Uint8Array(200)).subarray()
  let read = 0
  for await (const _ of frames(streamOf(...Array.from({ length: 100 }, () => byByte(small)).flat()), 64 * 1024)
    .incoming)
    read += 1
  expect(read).toBe(100)
})

test('a reader of very many small frames leaves everybody else their turn', async () => {
  const count = 10_000
  const frame = encode.single(Uint8Array.of(1)).subarray()
  const all = new Uint8Array(count * frame.byteLength)
  for (let at = 0; at < count; at++) all.set(frame, at * frame.byteLength)
  let turns = 0
  let reading = true
  const others = (async () => {
    while (reading) {
      await nextTurn()
      turns += 1
    }
  })()
  let read = 0
  for await (const each of frames(streamOf(all), 16).incoming) read += each.byteLength
  reading = false
  await others
  expect(read).toBe(count)
  expect(turns).toBeGreaterThan(100)
})
