import type { Connection } from '@libp2p/interface'
import type { Libp2p } from 'libp2p'
import { afterEach, expect, test } from 'vitest'
import { createSessions } from '../../../daemon/network/sessions.ts'
import { generateKeyPair, nodeIdOf } from '../../../protocol/index.ts'
import { admissionOf, quiet } from './support.ts'

const ends: (() => void)[] = []
afterEach(() => {
  for (const end of ends.splice(0)) end()
})

/** Sessions over a libp2p that makes the connections that it is told to. */
async function host() {
  const key = generateKeyPair()
  const events = new EventTarget()
  const tell = (type: string, detail: unknown) => void events.dispatchEvent(Object.assign(new Event(type), { detail }))
  const libp2p = { addEventListener: events.addEventListener.bind(events), handle: async () => {}, peerStore: {} }
  await createSessions({
    libp2p: libp2p as unknown as Libp2p,
    self: nodeIdOf(key.publicKey),
    boot: 'boot',
    admission: admissionOf(key, 'fleet'),
    log: quiet,
    heard: () => {},
  })
  let count = 0
  return (direction: 'inbound' | 'outbound') => {
    const peer = nodeIdOf(generateKeyPair().publicKey)
    const made = { aborted: false }
    const connection = {
      ...{ id: String(count++), direction, remotePeer: peer, remoteAddr: 'somewhere' },
      abort() {
        made.aborted = true
      },
      newStream: () => new Promise(() => {}),
    } as unknown as Connection
    tell('connection:open', connection)
    ends.push(() => tell('connection:close', connection))
    return made
  }
}

test('strangers that hold connections open keep nobody out: the oldest of them makes way', async () => {
  const connect = await host()
  const silent = Array.from({ length: 128 }, () => connect('inbound'))
  expect(silent.some(({ aborted }) => aborted)).toBe(false)
  const late = [connect('inbound'), connect('inbound')]
  expect(silent.map(({ aborted }) => aborted).lastIndexOf(true)).toBe(1)
  expect(late.some(({ aborted }) => aborted)).toBe(false)
})

test('strangers that hold connections open do not keep us from dialling', async () => {
  const connect = await host()
  for (let i = 0; i < 200; i++) connect('inbound')
  const dialled = Array.from({ length: 3 }, () => connect('outbound'))
  expect(dialled.some(({ aborted }) => aborted)).toBe(false)
})
