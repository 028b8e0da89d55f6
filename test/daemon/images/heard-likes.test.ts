import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { createHeardLikes } from '../../../daemon/images/heard-likes.ts'
import { MAX_LIKES, MAX_NAMES } from '../../../daemon/images/wire.ts'
import { millis, namesOf, piecesOf, SALT } from '../../../protocol/index.ts'
import { nodeNumber } from '../../membership/support.ts'

const [PEER, OTHER] = [nodeNumber(2), nodeNumber(3)]
const salt = Buffer.alloc(SALT, 7)
const chunk = randomBytes(80_000)
const names = namesOf(salt, piecesOf(chunk))
const long = Buffer.concat([names, Buffer.alloc(MAX_NAMES - names.byteLength)])
const like = (index: number, of: Uint8Array = names) => ({ type: 'like', index, salt, names: of }) as const

test('what is kept for a peer is bounded on all its channels together, and given back when they close', () => {
  let now = 0
  const heard = createHeardLikes(() => millis(now))
  const channels = Array.from({ length: 8 }, () => heard.of(PEER))
  for (const channel of channels) for (let index = 0; index < 10; index++) channel.hear(like(index, long))
  const kept = (): number => {
    let count = 0
    for (const channel of channels)
      for (let index = 0; index < 10; index++) {
        now += 60_000
        if (channel.patch(index, chunk) !== undefined) count += 1
      }
    return count
  }
  expect(kept()).toBe(Math.floor((256 * 1024) / (256 + MAX_NAMES)))
  for (const channel of channels) for (let index = 0; index < 10; index++) channel.hear(like(index, long))
  for (const channel of channels) channel.close()
  const again = heard.of(PEER)
  again.hear(like(1))
  expect(again.patch(1, chunk)).toBeDefined()
  expect(again.patch(1, chunk)).toBeUndefined()
})

test('of one channel no more are kept than it may have', () => {
  const channel = createHeardLikes(() => millis(0)).of(PEER)
  for (let index = 0; index <= MAX_LIKES; index++) channel.hear(like(index, names.subarray(0, 8 * 8)))
  channel.hear(like(0))
  expect(channel.patch(MAX_LIKES, chunk)).toBeUndefined()
  expect(channel.patch(MAX_LIKES - 1, chunk)).toBeDefined()
  channel.forget(1)
  expect(channel.patch(1, chunk)).toBeUndefined()
})

test('a peer that asks for patch after patch gets some, and another one not fewer for it; a new channel changes nothing', () => {
  let now = 1_000_000
  const heard = createHeardLikes(() => millis(now))
  const patched = (peer: typeof PEER): number => {
    const channel = heard.of(peer)
    let count = 0
    for (let at = 0; at < 1_000; at++) {
      channel.hear(like(at % 10))
      if (channel.patch(at % 10, chunk) !== undefined) count += 1
    }
    channel.close()
    return count
  }
  const most = Math.floor((16 * 2 ** 20) / chunk.byteLength)
  expect(patched(PEER)).toBe(most)
  expect(patched(PEER)).toBe(0)
  expect(patched(OTHER)).toBe(most)
  now += 10_000
  expect(patched(PEER)).toBe(most)
})
