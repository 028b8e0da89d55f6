import { readFileSync } from 'node:fs'
import packet from 'dns-packet'
import { expect, test } from 'vitest'
import '../../../daemon/network/mdns-packets.ts'

const decode = (bytes: Uint8Array) => packet.decode(Buffer.from(bytes))

test('a packet that claims more than it can hold, or is larger than any of mDNS, is not decoded', () => {
  const found = readFileSync(new URL('../../fuzz/corpus/mdns/found-96222a13258dfa19', import.meta.url))
  expect(() => decode(found)).toThrow('107 bytes cannot hold what the header says')
  expect(() => decode(new Uint8Array(9_001))).toThrow('9001 bytes')
  expect(() => decode(new Uint8Array(3))).toThrow()
})

test('one with as many of the smallest questions and records as fit is', () => {
  const question = { name: '.', type: 'A', class: 'IN' } as const
  const answer = { name: '.', type: 'TXT', class: 'IN', ttl: 1, data: [] } as never
  const { questions, answers } = decode(
    packet.encode({ type: 'query', questions: [question, question], answers: [answer, answer] }),
  )
  expect([questions?.length, answers?.length]).toEqual([2, 2])
})
