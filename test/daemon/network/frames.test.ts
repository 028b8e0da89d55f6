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
