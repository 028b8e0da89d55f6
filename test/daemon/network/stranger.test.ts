import '../../../daemon/network/promise-with-resolvers.ts'
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p } from 'libp2p'
import { afterEach, describe, expect, test } from 'vitest'
import { CHANNEL_PROTOCOL } from '../../../daemon/network/channels.ts'
import { type Frames, frames } from '../../../daemon/network/frames.ts'
import { topicName } from '../../../daemon/network/gossip.ts'
import { ADMISSION_FRAME, ADMISSION_PROTOCOL, introduceAsDialer } from '../../../daemon/network/handshake.ts'
import { LINK_PROTOCOL } from '../../../daemon/network/links.ts'
import { serviceTag } from '../../../daemon/network/mdns.ts'
import { RPC_PROTOCOL } from '../../../daemon/network/rpc.ts'
import {
  type Address,
  encode,
  generateKeyPair,
  type KeyPair,
  LIMITS,
  nodeIdOf,
  publicKeyOf,
} from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { type Libp2pMember, libp2pMember } from './fixtures.ts'
import { admissionOf, bytes, SECRET, soon } from './support.ts'

const FLEET = 'fleet-of-the-secret'
const GOSSIP = ['/meshsub/1.2.0', '/meshsub/1.1.0', '/meshsub/1.0.0', '/floodsub/1.0.0']
const RELAY = ['/libp2p/circuit/relay/0.2.0/hop', '/libp2p/circuit/relay/0.2.0/stop']
const PROTOCOLS = [LINK_PROTOCOL, RPC_PROTOCOL, CHANNEL_PROTOCOL, ...GOSSIP, ...RELAY]

const ends: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(ends.splice(0).map(end => end()))
})

/** A plain libp2p node that is no daemon, and every byte that it is sent after noise. */
interface Stranger {
  readonly key: KeyPair
  readonly libp2p: Libp2p
  received(): Buffer
}

async function stranger(): Promise<Stranger> {
  const key = generateKeyPair()
  const received: Buffer[] = []
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromRaw(Buffer.concat([key.seed, Buffer.from(key.publicKey, 'hex')])),
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    connectionMonitor: { enabled: false },
    streamMuxers: [
      components => {
        const factory = yamux({ enableKeepAlive: false })(components)
        return {
          protocol: factory.protocol,
          createStreamMuxer(init) {
            const muxer = factory.createStreamMuxer(init)
            const { sink } = muxer
            muxer.sink = source =>
              sink(
                (async function* () {
                  for await (const piece of source) {
                    received.push(Buffer.from(piece.subarray()))
                    yield piece
                  }
                })(),
              )
            return muxer
          },
        }
      },
    ],
  })
  // Whatever it is offered, it takes.
  for (const protocol of PROTOCOLS) await libp2p.handle(protocol, ({ stream }) => void drain(stream))
  ends.push(() => libp2p.stop())
  return { key, libp2p, received: () => Buffer.concat(received) }
}

async function drain(stream: Stream): Promise<void> {
  try {
    for await (const _bytes of stream.source);
  } catch {
    // Reset, as it should be.
  }
}

async function member(): Promise<Libp2pMember> {
  const made = await libp2pMember(FLEET, {
    relay: true,
    prepare(network) {
      network.serve('secret', () => bytes(`${SECRET} answer`))
      network.acceptChannels('secret', channel => void channel.send(bytes(`${SECRET} frame`)).catch(() => {}))
    },
  })
  ends.push(() => made.network.stop())
  return made
}

/** Two members that are linked and keep telling each other secrets. */
async function talkingPair(): Promise<readonly [Libp2pMember, Libp2pMember]> {
  const [a, b] = [await member(), await member()]
  await a.network.connect(b.id, b.addresses, soon())
  const talk = setInterval(() => {
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      from.network.send(to.id, bytes(`${SECRET} frame`))
      from.network.publish('members', bytes(`${SECRET} ${Math.random()}`))
    }
  }, 10)
  ends.push(() => clearInterval(talk))
  await eventually('gossip between members', () => b.events.gossiped.length > 0 && a.events.gossiped.length > 0)
  return [a, b]
}

/** Everything that would tell a stranger something of the fleet. */
function telling(...members: readonly Libp2pMember[]): readonly Buffer[] {
  return [
    Buffer.from(SECRET),
    Buffer.from(FLEET),
    Buffer.from(serviceTag(FLEET)),
    ...(['members', 'events', 'rollouts'] as const).flatMap(topic => [
      Buffer.from(topic),
      Buffer.from(topicName(FLEET, topic)),
      Buffer.from(topicName(FLEET, topic), 'base64url'),
    ]),
    ...members.flatMap(({ id, addresses }) => [
      Buffer.from(id),
      Buffer.from(publicKeyOf(id), 'hex'),
      ...addresses.map(address => Buffer.from(address)),
    ]),
  ]
}

const learned = (stranger: Stranger, secrets: readonly Buffer[]) =>
  secrets.filter(secret => stranger.received().includes(secret)).map(String)

const closed = (connection: Connection) =>
  eventually('the stranger to be cut off', () => connection.status !== 'open', { everyMs: 20 })

/** Passes admission on a raw connection, as a member that means harm would. */
async function admit(from: Stranger, to: Libp2pMember, fleet: string): Promise<Connection> {
  const connection = await from.libp2p.dial(multiaddr(to.addresses[0]!))
  const self = nodeIdOf(from.key.publicKey)
  const credentials = admissionOf(from.key, fleet).credentials()!
  const over = frames(await connection.newStream(ADMISSION_PROTOCOL), ADMISSION_FRAME)
  await introduceAsDialer(over, { self, boot: 'boot', ...credentials }, to.id, () => {}, soon())
  return connection
}

describe('a stranger', () => {
  test('that dials and asks for everything learns nothing and is cut off', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    const connection = await raw.libp2p.dial(multiaddr(a.addresses[0]!))
    const asked = Promise.allSettled(
      PROTOCOLS.map(async protocol => {
        const stream = await connection.newStream(protocol)
        const over = frames(stream, 1024 * 1024)
        over.send(encode(['secret', new Uint8Array()])).catch(() => {})
        over.send(bytes('secret')).catch(() => {})
        for await (const _frame of over.incoming) throw new Error(`an answer on ${protocol}`)
      }),
    )
    await closed(connection)
    for (const outcome of await asked)
      expect(String(outcome.status === 'rejected' ? outcome.reason : '')).not.toContain('an answer')
    expect(raw.received().includes('/multistream/1.0.0')).toBe(true) // the recording works
    expect(learned(raw, telling(b))).toEqual([])
    expect(learned(raw, telling())).toEqual([])
    expect([a.network.links(), b.network.links()]).toEqual([[b.id], [a.id]])
    expect(a.events.heardFrom).toEqual(new Set([b.id]))
  })

  test('that is dialled is shown a proof that it cannot use, and nothing else', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    let shown = 0
    await raw.libp2p.handle(ADMISSION_PROTOCOL, async ({ stream }) => {
      const over: Frames = frames(stream, ADMISSION_FRAME)
      const { value } = await over.incoming.next()
      shown = value?.byteLength ?? 0
      await over.send(encode([randomBytes(32), randomBytes(32)]))
      await over.incoming.next().catch(() => {})
    })
    const address = raw.libp2p
      .getMultiaddrs()[0]!
      .toString()
      .replace(/\/p2p\/.*/, '') as Address
    await expect(a.network.connect(undefined, [address], soon())).rejects.toMatchObject({ failure: 'stranger' })
    expect(shown).toBeGreaterThan(64)
    expect(shown).toBeLessThan(80) // a nonce, a proof and their framing
    expect(learned(raw, telling(b))).toEqual([])
  })

  test('of another fleet that speaks our protocol learns nothing', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    await expect(admit(raw, a, 'another-fleet')).rejects.toThrow()
    await eventually('the connection to go', () => raw.libp2p.getConnections().length === 0)
    expect(learned(raw, telling(b))).toEqual([])
  })

  test('that knows the fleet id and has no certificate is shown no certificate', async () => {
    const [a, b] = await talkingPair()
    a.admission.revoked.add(b.id) // so that b's certificate counts for nothing
    const raw = await stranger()
    a.admission.revoked.add(nodeIdOf(raw.key.publicKey))
    await expect(admit(raw, a, FLEET)).rejects.toThrow()
    expect(learned(raw, telling())).toEqual([])
  })

  test('would be found out by this test if it learned anything', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    const connection = await admit(raw, a, FLEET)
    const link = frames(await connection.newStream(LINK_PROTOCOL), LIMITS.linkFrame)
    await link.send(encode(['0123456789abcdef', []]))
    await eventually('gossip and certificate', () => {
      const got = learned(raw, telling(b))
      return got.includes(SECRET) && got.includes(topicName(FLEET, 'members'))
    })
  })
})

describe('a member that sends garbage', () => {
  test('on its link loses its connection, and nobody else is disturbed', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    const connection = await admit(raw, a, FLEET)
    const stream = await connection.newStream(LINK_PROTOCOL)
    const id = nodeIdOf(raw.key.publicKey)
    const open = encode(['0123456789abcdef', []])
    void stream
      .sink(
        (async function* () {
          yield Uint8Array.of(open.byteLength, ...open)
          await eventually('the link', () => a.network.links().includes(id))
          yield Uint8Array.of(0xff, 0xff, 0xff, 0x7f) // a frame of 256 MiB
        })(),
      )
      .catch(() => {})
    void drain(stream)
    await closed(connection)
    await eventually('the link to be down', () => a.events.links.includes(`closed ${id}`))
    expect(a.network.links()).toEqual([b.id])
  })

  test.each(PROTOCOLS.slice(0, 4))('on %s disturbs nobody', async protocol => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    const connection = await admit(raw, a, FLEET)
    for (let i = 0; i < 8 && connection.status === 'open'; i++) {
      try {
        const stream = await connection.newStream(protocol)
        void stream.sink([randomBytes(i * 700 + 1)]).catch(() => {})
        void drain(stream)
      } catch {
        // Cut off already.
      }
    }
    const heard = b.events.gossiped.length
    await eventually('the others to talk on', () => b.events.gossiped.length > heard + 5)
    expect(a.network.links()).toContain(b.id)
  })

  test('before it is admitted, or on the bare socket, disturbs nobody', async () => {
    const [a, b] = await talkingPair()
    const raw = await stranger()
    const connection = await raw.libp2p.dial(multiaddr(a.addresses[0]!))
    const stream = await connection.newStream(ADMISSION_PROTOCOL)
    void stream.sink([randomBytes(3000)]).catch(() => {})
    void drain(stream)
    const port = Number(a.addresses[0]?.split('/').at(-1))
    for (let i = 0; i < 8; i++) {
      const socket = connect(port, '127.0.0.1').on('error', () => {})
      ends.push(() => socket.destroy())
      socket.write(randomBytes(1 + i * 1000))
    }
    await closed(connection)
    const heard = b.events.gossiped.length
    await eventually('the others to talk on', () => b.events.gossiped.length > heard + 5)
    expect(a.network.links()).toEqual([b.id])
  })
})
