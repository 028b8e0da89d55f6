import { createSocket, type RemoteInfo } from 'node:dgram'
import { type AddressInfo, createServer, isIPv6, type Socket } from 'node:net'
import type { Logger } from 'pino'
import type { MemberView } from '../../membership/index.ts'
import { FleetError, type Millis, type Random } from '../../protocol/index.ts'
import { endpointOf, isLocalHost, parseAddress } from '../network/index.ts'
import { answer } from './answer.ts'
import { createAskers } from './askers.ts'
import { MAX_QUESTION, respond } from './packets.ts'

/** What is over that is not answered: resolvers ask again. */
const RATES = { each: { perSecond: 100, burst: 200 }, all: { perSecond: 1_000, burst: 2_000 }, most: 1_024 }
/** Connections at once, and how long one may be idle. Milliseconds. */
const TCP = { connections: 64, idle: 10_000 }

export interface Dns {
  /** `HOST:PORT`, with the port that was picked. */
  readonly address: string
  close(): Promise<void>
}

export interface DnsInit {
  /** `HOST:PORT`. */
  readonly address: string
  readonly members: () => readonly MemberView[]
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}

/** `--dns`: serves UDP and TCP on one port. Throws `unavailable` when it cannot listen there. */
export async function createDns({ address, members, now, random, log }: DnsInit): Promise<Dns> {
  const { host, port } = endpointOf(parseAddress(address))
  const askers = createAskers(RATES)
  const reply = (packet: Uint8Array, transport: 'udp' | 'tcp', from: string | undefined): Uint8Array | undefined => {
    // A sender from outside may be forged, and what it is sent hits somebody else; and members are nobody's business there.
    const asker = from?.replace(/%.*$/, '').replace(/^::ffff:/, '')
    if (asker === undefined || !isLocalHost(asker) || !askers.take(now(), asker)) return undefined
    try {
      return respond(packet, transport, question => answer(question, members(), random))
    } catch (error) {
      log.error({ err: error }, 'a question of DNS could not be answered')
      return undefined
    }
  }

  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, packet => reply(packet, 'tcp', socket.remoteAddress))
  })
  server.maxConnections = TCP.connections
  await listening(address, server, done => server.listen({ host, port }, done))
  server.on('error', error => log.error({ err: error }, 'listening for DNS over TCP failed'))
  const bound = (server.address() as AddressInfo).port

  const udp = createSocket({ type: isIPv6(host) ? 'udp6' : 'udp4' })
  udp.on('message', (packet: Uint8Array, { address: to, port: toPort }: RemoteInfo) => {
    const made = reply(packet, 'udp', to)
    // Nobody waits for what could not be sent.
    if (made !== undefined) udp.send(made, toPort, to, () => undefined)
  })
  try {
    await listening(address, udp, done => udp.bind({ port: bound, address: host }, done))
  } catch (error) {
    server.close()
    throw error
  }
  udp.on('error', error => log.error({ err: error }, 'listening for DNS over UDP failed'))
  return {
    address: `${isIPv6(host) ? `[${host}]` : host}:${bound}`,
    async close() {
      const closed = Promise.all([
        new Promise<void>(done => void server.close(() => done())),
        new Promise<void>(done => void udp.close(done)),
      ])
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

interface Listener {
  once(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
}

function listening(address: string, listener: Listener, start: (done: () => void) => unknown): Promise<void> {
  return new Promise((done, fail) => {
    const failed = (error: Error): void =>
      fail(
        new FleetError(
          'unavailable',
          `cannot listen for DNS on ${address}: ${error.message}; give --dns another address`,
          { cause: error },
        ),
      )
    listener.once('error', failed)
    start(() => {
      listener.off('error', failed)
      done()
    })
  })
}

/** Questions on one connection, each with its length in two bytes before it (RFC 1035, 4.2.2), answered in turn. */
function serve(socket: Socket, reply: (packet: Uint8Array) => Uint8Array | undefined): void {
  let held = Buffer.alloc(0)
  socket.setTimeout(TCP.idle, () => socket.destroy())
  socket.on('error', () => undefined)
  socket.on('drain', () => socket.resume())
  socket.on('data', (part: Buffer) => {
    held = Buffer.concat([held, part])
    while (held.byteLength >= 2) {
      const length = held.readUInt16BE(0)
      if (length > MAX_QUESTION) return void socket.destroy()
      if (held.byteLength < 2 + length) return
      const made = reply(held.subarray(2, 2 + length))
      held = held.subarray(2 + length)
      if (made === undefined) return void socket.destroy()
      const head = Buffer.alloc(2)
      head.writeUInt16BE(made.byteLength)
      // Who does not read is asked nothing more until it has.
      if (!socket.write(Buffer.concat([head, made]))) socket.pause()
    }
  })
}
