import { expect, test } from 'vitest'
import { CHUNK_HEAD, decodeMessage, encodeChunkBefore } from '../../../daemon/images/wire.ts'
import { HEADROOM } from '../../../rollout/index.ts'

test('a chunk that is sent from where it was read is the message that it would be otherwise', () => {
  expect(CHUNK_HEAD).toBeLessThanOrEqual(HEADROOM)
  for (const [index, length] of [
    [0, 0],
    [127, 1],
    [65_536, 70_000],
    [4_000_000, 262_144],
  ] as const) {
    const memory = Buffer.alloc(HEADROOM + length, 7)
    const bytes = memory.subarray(HEADROOM)
    const decoded = decodeMessage(encodeChunkBefore(index, bytes))
    expect(decoded).toMatchObject({ type: 'chunk', index })
    expect(Buffer.compare((decoded as { bytes: Uint8Array }).bytes, bytes)).toBe(0)
  }
})
