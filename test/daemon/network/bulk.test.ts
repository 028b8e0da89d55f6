import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as later } from 'node:timers/promises'
import { createServer as createTlsServer, type TLSSocket } from 'node:tls'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { decodeOffer, encodeOffer } from '../../../daemon/network/bulk/offer.ts'
import { bulkConnect, bulkServer, type End, socketFrames } from '../../../daemon/network/bulk/tls.ts'
import type { Frames } from '../../../daemon/network/frames.ts'
import { type Channel, createLibp2pNetwork, type Network } from '../../../daemon/network/index.ts'
import { type Address, FleetError, generateKeyPair, nodeIdOf } from '../../../protocol/index.ts'
import { freePort } from '../../support/daemons.ts'
import { eventually } from '../../support/wait.ts'
import { admissionOf, bytes, quiet, recorder, soon, text } from './support.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const offer = () => ({ name: randomBytes(16).toString('hex'), secret: randomBytes(32), addresses: [] })
const endpoint = (server: Server) => ({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
async function listening(server: Server): Promise<Server> {
  closing.push(() => server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

describe('a connection with an agreed secret', () => {
  test('is TLS 1.3 without a certificate, and carries bytes', async () => {
    const given = offer()
    const taken: TLSSocket[] = []
    const tls = bulkServer(
      (_socket, name) => (name === given.name ? given.secret : undefined),
      ({ socket }) => taken.push(socket),
    )
    const server = await listening(createServer(socket => tls.emit('connection', socket)))
    const { socket, pieces } = await bulkConnect(endpoint(server), given, soon())
    closing.push(() => socket.destroy())
    expect(socket.getProtocol()).toBe('TLSv1.3')
    expect(socket.getCipher().name).toBe('TLS_AES_128_GCM_SHA256')
    await eventually('the other end', () => taken.length === 1, { everyMs: 2 })
    const came = new Promise<string>(resolve =>
      pieces.to(piece => {
        resolve(String(piece))
        return true
      }),
    )
    taken[0]!.write('hello')
    expect(await came).toBe('hello')
  })

  test('is read no further than its reader wants, at either end, and then to its end', async () => {
    const given = offer()
    const ends: End[] = []
    const tls = bulkServer(
      () => given.secret,
      end => ends.push(end),
    )
    const server = await listening(createServer(socket => tls.emit('connection', socket)))
    ends.push(await bulkConnect(endpoint(server), given, soon()))
    await eventually('both ends', () => ends.length === 2, { everyMs: 2 })
    const [one, other] = ends.map(end => socketFrames(end, 100_000, () => undefined)) as [Frames, Frames]
    closing.push(() => one.abort(new Error('over')))
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      let given = 0
      let waits = false
      while (!waits) {
        const sent = from.send(randomBytes(65_000)).then(() => true)
        given += 1
        // Not handed on after a while: it waits for its reader.
        waits = !(await Promise.race([sent, later(300).then(() => false)]))
      }
      expect(to.receivedBytes).toBeLessThan(512 * 1024)
      for (let taken = 0; taken < given; taken++) expect((await to.incoming.next()).value?.byteLength).toBe(65_000)
    }
    await one.end()
    expect((await other.incoming.next()).done).toBe(true)
  })

  test('ends with an error for its reader where it is cut in the middle of a frame, or a frame is too long', async () => {
    for (const bytes of [Buffer.of(100, 1, 2, 3), Buffer.of(0xff, 0xff, 0x7f)]) {
      const given = offer()
      const ends: End[] = []
      const tls = bulkServer(
        () => given.secret,
        end => ends.push(end),
      )
      const server = await listening(createServer(socket => tls.emit('connection', socket)))
      const end = await bulkConnect(endpoint(server), given, soon())
      closing.push(() => end.socket.destroy())
      const { incoming } = socketFrames(end, 1_000, () => undefined)
      await eventually('the other end', () => ends.length === 1, { everyMs: 2 })
      ends[0]!.socket.end(bytes)
      await expect(incoming.next()).rejects.toThrow(/middle of a frame|malformed frame/)
    }
  })

  test.each([
    ['another secret', { secret: randomBytes(32) }],
    ['a name that was never given out', { name: randomBytes(16).toString('hex') }],
  ])('is not made with %s', async (_what, wrong) => {
    const given = offer()
    let taken = 0
    const tls = bulkServer(
      (_socket, name) => (name === given.name ? given.secret : undefined),
      () => taken++,
    )
    const server = await listening(createServer(socket => tls.emit('connection', socket)))
    await expect(bulkConnect(endpoint(server), { ...given, ...wrong }, soon())).rejects.toThrow()
    expect(taken).toBe(0)
  })

  test('is not made with one who shows a certificate instead', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'fleetd-bulk-'))
    closing.push(() => rm(dir, { recursive: true }))
    const [key, cert] = [join(dir, 'key'), join(dir, 'cert')]
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=x', '-days', '1']
    execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const impostor = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) })
    impostor.on('tlsClientError', () => undefined)
    const server = await listening(impostor as unknown as Server)
    await expect(bulkConnect(endpoint(server), offer(), soon())).rejects.toThrow()
  })
})

test('an offer reads back as it was, and what is none is refused', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (name, secret) => {
        const made = {
          name: Buffer.from(name).toString('hex'),
          secret: Buffer.from(secret),
          addresses: ['/ip4/1.2.3.4/tcp/5' as Address],
        }
        const read = decodeOffer(encodeOffer(made))
        expect({ ...read, secret: Buffer.from(read.secret) }).toEqual(made)
      },
    ),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), junk => {
      try {
        decodeOffer(junk)
      } catch (error) {
        expect(error).toBeInstanceOf(FleetError)
      }
    }),
  )
})

describe('two nodes', () => {
  interface Member {
    readonly network: Network
    readonly admission: ReturnType<typeof admissionOf>
    readonly channels: Channel[]
  }
  async function member(listen = '127.0.0.1:0', advertise: string[] = []): Promise<Member> {
    const key = generateKeyPair()
    const admission = admissionOf(key, 'fleet-one')
    const options = {
      key,
      listen: [listen],
      advertise,
      mdns: false,
      lanOnly: false,
      relay: false,
      admission,
    }
    const network = createLibp2pNetwork({ ...options, log: quiet })
    const channels: Channel[] = []
    network.acceptChannels('chunks', channel => channels.push(channel))
    await network.start(recorder())
    closing.push(() => network.stop())
    expect(network.self).toBe(nodeIdOf(key.publicKey))
    return { network, admission, channels }
  }
  /** How many connections this process has to the port that a node listens on. */
  const connectionsTo = (node: Network): Promise<number> =>
    eventually('the sockets to be listed', () => {
      const { port } = /\/tcp\/(?<port>\d+)/.exec(node.addresses()[0]!)!.groups as { port: string }
      const hex = Number(port).toString(16).toUpperCase().padStart(4, '0')
      const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n')
      // Local address, remote address, state (1: established).
      return {
        count: lines.filter(line => line.trim().split(/\s+/)[2]?.endsWith(`:${hex}`) && / 01 /.test(line)).length,
      }
    }).then(({ count }) => count)

  test('carry a channel over a connection of its own, on the same port, for as long as both are admitted', async () => {
    const [a, b] = [await member(), await member()]
    await a.network.connect(b.network.self, b.network.addresses(), soon())
    const before = await connectionsTo(b.network)
    const channel = await a.network.openChannel(b.network.self, 'chunks', { signal: soon() })
    expect(await connectionsTo(b.network)).toBe(before + 1)
    await channel.send(bytes('give me a chunk'))
    const [other] = await eventually('the other end', () => (b.channels.length > 0 ? b.channels : undefined))
    expect(other!.peer).toBe(a.network.self)
    const incoming = other!.frames[Symbol.asyncIterator]()
    expect(text((await incoming.next()).value)).toBe('give me a chunk')
    b.admission.revoked.add(a.network.self)
    b.network.reconsider()
    expect((await incoming.next()).done).toBe(true)
    await eventually('the connections to be gone', async () => (await connectionsTo(b.network)) === 0)
  })

  test('go on over libp2p where nothing but that gets through', async () => {
    const port = await freePort()
    // Lets libp2p's first byte through, and nothing that begins with another.
    const refused: number[] = []
    const middle = await listening(
      createServer(near => {
        const far = connect(port, '127.0.0.1')
        closing.push(() => near.destroy())
        near.on('error', () => far.destroy())
        far.on('error', () => near.destroy())
        near.once('data', first => {
          if (first[0] !== 0x13) {
            refused.push(first[0]!)
            near.destroy()
            far.destroy()
            return
          }
          far.write(first)
          near.pipe(far).pipe(near)
        })
      }),
    )
    const a = await member()
    const b = await member(`127.0.0.1:${port}`, [`127.0.0.1:${endpoint(middle).port}`])
    await a.network.connect(b.network.self, b.network.addresses(), soon())
    const channel = await a.network.openChannel(b.network.self, 'chunks', { signal: soon() })
    expect(refused).toEqual([0x16])
    await channel.send(bytes('over libp2p'))
    const [other] = await eventually('the other end', () => (b.channels.length > 0 ? b.channels : undefined))
    expect(text((await other!.frames[Symbol.asyncIterator]().next()).value)).toBe('over libp2p')
  })

  test('a stranger who begins a handshake where nothing was offered is cut off', async () => {
    const a = await member()
    const { port } = /\/tcp\/(?<port>\d+)/.exec(a.network.addresses()[0]!)!.groups as { port: string }
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(Buffer.of(0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0)))
    socket.on('error', () => undefined)
    let received = 0
    socket.on('data', piece => {
      received += piece.byteLength
    })
    await once(socket, 'close')
    expect(received).toBe(0)
  })

  test('a connection that says its first byte while the node stops is cut off, and holds nothing up', async () => {
    const a = await member()
    const { port } = /\/tcp\/(?<port>\d+)/.exec(a.network.addresses()[0]!)!.groups as { port: string }
    const sockets = Array.from({ length: 20 }, () => connect(Number(port), '127.0.0.1'))
    for (const socket of sockets) socket.on('error', () => undefined)
    const gone = sockets.map(socket => new Promise(resolve => socket.on('close', resolve)))
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    // Some bytes are on their way when the listener closes: what is thrown at them would end the process.
    for (const socket of sockets) socket.write(Buffer.of(0x13))
    await a.network.stop()
    await Promise.all(gone)
  })
})
