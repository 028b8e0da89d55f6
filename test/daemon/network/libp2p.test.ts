import '../../../daemon/network/promise-with-resolvers.ts'
import { spawn } from 'node:child_process'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { afterEach, describe, expect, test } from 'vitest'
import type { DialError } from '../../../daemon/network/index.ts'
import { type Address, generateKeyPair } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { type Libp2pMember, libp2pMember, libp2pNetwork } from './fixtures.ts'
import { admissionOf, bytes, recorder, soon } from './support.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  await Promise.all(ends.splice(0).map(end => end()))
})

async function member(fleet = 'fleet-one', options: Parameters<typeof libp2pMember>[1] = {}): Promise<Libp2pMember> {
  const made = await libp2pMember(fleet, options)
  ends.push(() => made.network.stop())
  return made
}

/** A member in a process of its own, linked to `addresses`. */
async function child(...addresses: readonly Address[]) {
  const script = new URL('./node-child.ts', import.meta.url).pathname
  const process_ = spawn(process.execPath, ['--import', 'tsx', script, 'fleet-one', ...addresses], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  ends.push(() => process_.kill('SIGKILL'))
  const line = await new Promise<string>(done => createInterface(process_.stdout).once('line', done))
  return { process: process_, ...(JSON.parse(line) as Pick<Libp2pMember, 'id' | 'addresses'>) }
}

const failureOf = (attempt: Promise<unknown>) =>
  attempt.then(
    () => undefined,
    (error: DialError) => error.failure,
  )

const portOf = (address: Address | undefined) => Number(address?.split('/').at(-1))

describe('a peer whose process dies', () => {
  test('is told as a reset at once, and dialling it is refused', async () => {
    const a = await member()
    const b = await child(...a.addresses)
    await eventually('the link', () => a.network.links().includes(b.id))
    b.process.kill('SIGKILL')
    await eventually('the reset', () => a.events.links.length === 2, { everyMs: 5 })
    expect(a.events.links).toEqual([`up ${b.id}`, `reset ${b.id}`])
    expect(await failureOf(a.network.connect(b.id, b.addresses, soon()))).toBe('refused')
  })

  test('ends requests and channels with it that are under way', async () => {
    const b = await child()
    const a = await member()
    const channel = await a.network.openChannel(b.id, 'sink', { signal: soon(), addresses: b.addresses })
    b.process.kill('SIGSTOP')
    const request = a.network.request(b.id, 'any', bytes(''), { signal: soon() }).catch(error => error.code)
    const sending = (async () => {
      for (;;) await channel.send(new Uint8Array(1024 * 1024))
    })().catch(error => error.code)
    b.process.kill('SIGKILL')
    expect(await request).toBe('unavailable')
    expect(await sending).toBe('unavailable')
  })

  test('that comes back under the same key gets a new link', async () => {
    const key = generateKeyPair()
    const a = await member()
    const first = await member('fleet-one', { key })
    await first.network.connect(a.id, a.addresses, soon())
    await first.network.stop()
    const second = await member('fleet-one', { key })
    await second.network.connect(a.id, a.addresses, soon())
    a.network.send(second.id, bytes('welcome back'))
    await eventually('a frame to the new process', () => second.events.frames.length === 1)
    expect(a.events.links).toEqual([`up ${first.id}`, `closed ${first.id}`, `up ${first.id}`])
  })
})

describe('a connection whose far end went without a word', () => {
  test('is replaced by the link that the peer opens when it comes again', async () => {
    const [a, b] = [await member(), await member()]
    const proxy = await createProxy(portOf(a.addresses[0]))
    ends.push(proxy.close)
    await b.network.connect(a.id, [proxy.address], soon())
    await eventually('both links', () => a.events.links.length === 1)
    proxy.cutTowards('dialer') // b sees its connection break; a sees nothing
    await eventually('b to notice', () => b.events.links.length === 2)
    expect(a.network.links()).toEqual([b.id])
    await b.network.connect(a.id, a.addresses, soon())
    expect(b.network.send(a.id, bytes('again'))).toBe(true)
    await eventually('the frame over the new link', () => a.events.frames.length === 1)
    expect(a.events.links).toEqual([`up ${b.id}`, `reset ${b.id}`, `up ${b.id}`])
  })
})

describe('a connection that ends while a link is opened over it', () => {
  test('is replaced by a new one before the dial counts as failed', async () => {
    const a = await member('fleet-one', { prepare: network => network.serve('any', async () => bytes('')) })
    const b = await member()
    const proxy = await createProxy(portOf(a.addresses[0]))
    ends.push(proxy.close)
    // A request makes a connection and no link.
    await b.network.request(a.id, 'any', bytes(''), { signal: soon(), addresses: [proxy.address] })
    const connected = b.network.connect(a.id, a.addresses, soon())
    proxy.cutTowards('dialer')
    expect(await connected).toBe(a.id)
    expect(b.network.links()).toEqual([a.id])
  })
})

describe('two that dial each other at the same moment', () => {
  test('have one link that carries frames both ways, every time', async () => {
    const [a, b] = [await member(), await member()]
    for (let round = 1; round <= 15; round++) {
      await Promise.all([a.network.connect(b.id, b.addresses, soon()), b.network.connect(a.id, a.addresses, soon())])
      await eventually('both links', () => a.network.links().length === 1 && b.network.links().length === 1)
      a.network.send(b.id, bytes(`a ${round}`))
      b.network.send(a.id, bytes(`b ${round}`))
      await eventually('the frames', () => a.events.frames.length === round && b.events.frames.length === round)
      a.network.disconnect(b.id)
      await eventually('the end', () => b.network.links().length === 0)
      expect(a.events.links).toHaveLength(2 * round)
      expect(b.events.links).toHaveLength(2 * round)
    }
  })
})

describe('listening', () => {
  test('on a taken port says which and what to do', async () => {
    const a = await member()
    const port = portOf(a.addresses[0])
    const key = generateKeyPair()
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), { listen: [`127.0.0.1:${port}`] })
    await expect(network.start(recorder())).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(new RegExp(`127.0.0.1:${port}.*taken.*--listen`)),
    })
    await network.stop()
  })

  test('on an address that this host does not have says so', async () => {
    const key = generateKeyPair()
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), { listen: ['192.0.2.1:0'] })
    await expect(network.start(recorder())).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('192.0.2.1:0'),
    })
  })

  test('goes on without an IPv6 address that this host does not have', async () => {
    const key = generateKeyPair()
    const options = { listen: ['127.0.0.1:0', '[2001:db8::1]:0'] }
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), options)
    await network.start(recorder())
    ends.push(() => network.stop())
    expect(network.addresses()).toHaveLength(1)
  })

  test('on every address names those that others can dial', async () => {
    const key = generateKeyPair()
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), { listen: ['0.0.0.0:0'] })
    await network.start(recorder())
    ends.push(() => network.stop())
    expect(network.addresses().length).toBeGreaterThan(0)
    for (const address of network.addresses()) expect(address).toMatch(/^\/ip4\/(?!0\.0\.0\.0).+\/tcp\/[1-9]\d*$/)
  })

  test('names what is advertised instead, where that is given', async () => {
    const key = generateKeyPair()
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), { advertise: ['seed.example:7946'] })
    await network.start(recorder())
    ends.push(() => network.stop())
    expect(network.addresses()).toEqual(['/dns/seed.example/tcp/7946'])
  })
})

describe('a daemon that stays on the LAN', () => {
  test('neither dials nor advertises anything public', async () => {
    const key = generateKeyPair()
    const options = { lanOnly: true, advertise: ['192.0.2.7:1', '10.0.0.1:1'] }
    const network = libp2pNetwork(key, admissionOf(key, 'fleet-one'), options)
    await network.start(recorder())
    ends.push(() => network.stop())
    expect(network.addresses()).toEqual(['/ip4/10.0.0.1/tcp/1'])
    const attempt = network.connect(undefined, ['/ip4/192.0.2.1/tcp/7946' as Address], soon())
    await expect(attempt).rejects.toMatchObject({
      failure: 'unreachable',
      message: expect.stringContaining('lan-only'),
    })
    const b = await member()
    expect(await network.connect(b.id, b.addresses, soon())).toBe(b.id)
  })
})

describe('dialling', () => {
  test('a port where something else answers finds a stranger', async () => {
    const server = createServer(socket => {
      socket.on('error', () => {}).resume()
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
    ends.push(() => new Promise(done => server.close(done)))
    const { port } = server.address() as { port: number }
    const a = await member()
    const address = `/ip4/127.0.0.1/tcp/${port}` as Address
    expect(await failureOf(a.network.connect(undefined, [address], soon()))).toBe('stranger')
  })

  test('a port where nothing ever answers times out, or ends with the signal', async () => {
    const silent = createServer(socket => socket.on('error', () => {}).resume())
    await new Promise<void>(done => silent.listen(0, '127.0.0.1', done))
    const sockets = new Set<Socket>()
    silent.on('connection', socket => sockets.add(socket))
    ends.push(() => {
      for (const socket of sockets) socket.destroy()
      return new Promise(done => silent.close(done))
    })
    const { port } = silent.address() as { port: number }
    const a = await member()
    const address = `/ip4/127.0.0.1/tcp/${port}` as Address
    const aborted = failureOf(a.network.connect(undefined, [address], AbortSignal.timeout(50)))
    expect(await aborted).toBe('aborted')
    expect(await failureOf(a.network.connect(undefined, [address], soon()))).toBe('timeout')
  })
})

describe('gossip', () => {
  test('silences a neighbour that keeps sending what is rejected', async () => {
    const [a, b] = [await member(), await member()]
    await a.network.connect(b.id, b.addresses, soon())
    await eventually('gossip to flow', () => {
      a.network.publish('events', bytes(`probe ${Math.random()}`))
      return b.events.gossiped.length > 0
    })
    b.events.verdict = 'reject'
    let lies = 0
    await eventually('b to stop listening', () => {
      const before = b.events.gossiped.length
      a.network.publish('events', bytes(`lie ${lies++}`))
      return lies - before > 10 // ten in a row were not even looked at
    })
    expect(b.network.links()).toEqual([a.id])
  })
})

/** A TCP relay in front of a port on loopback, one of whose sides can be cut while the other stays open. */
async function createProxy(port: number) {
  const pairs: { dialer: Socket; listener: Socket }[] = []
  const server = createServer(dialer => {
    const listener = connect(port, '127.0.0.1')
    for (const socket of [dialer, listener]) socket.on('error', () => {})
    dialer.on('data', data => listener.write(data))
    listener.on('data', data => dialer.write(data))
    pairs.push({ dialer, listener })
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  return {
    address: `/ip4/127.0.0.1/tcp/${(server.address() as { port: number }).port}` as Address,
    cutTowards(side: 'dialer' | 'listener') {
      for (const pair of pairs) pair[side].resetAndDestroy()
    },
    close() {
      for (const { dialer, listener } of pairs) {
        dialer.destroy()
        listener.destroy()
      }
      return new Promise(done => server.close(done))
    },
  }
}
