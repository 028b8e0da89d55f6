import { connect, type Socket } from 'node:net'
import { decodeMultiStream, encode } from '@msgpack/msgpack'

/** A client of Serf's RPC protocol over a plain socket, with a decoder of its own. */
export interface RawClient {
  readonly socket: Socket
  /** Writes a header and, where one is given, a body. */
  send(command: string, seq: number | bigint, body?: unknown): void
  /** The next value that arrives; undefined when the connection ends first. */
  next(): Promise<unknown>
  /** `send`, then the header that answers it. */
  ask(command: string, seq: number, body?: unknown): Promise<unknown>
  close(): void
}

export async function rawClient(address: string): Promise<RawClient> {
  const port = Number(address.split(':').at(-1))
  const socket = connect({ host: '127.0.0.1', port })
  await new Promise((done, fail) => {
    socket.once('connect', done)
    socket.once('error', fail)
  })
  socket.on('error', () => undefined)
  const values = decodeMultiStream<undefined>(socket, { useBigInt64: true })
  const client: RawClient = {
    socket,
    send(command, seq, body) {
      const header = encode({ Command: command, Seq: seq }, { useBigInt64: true })
      socket.write(body === undefined ? header : Buffer.concat([header, encode(body)]))
    },
    async next() {
      try {
        const { value, done } = await values.next()
        return done ? undefined : plain(value)
      } catch (error) {
        // The connection was cut.
        if ((error as NodeJS.ErrnoException).code !== undefined) return undefined
        throw error
      }
    },
    ask(command, seq, body) {
      client.send(command, seq, body)
      return client.next()
    },
    close: () => socket.destroy(),
  }
  return client
}

/** Byte strings are compared as what they are, whatever class the socket gave them. */
function plain(value: unknown): unknown {
  return Object.fromEntries(
    Object.entries(value as object).map(([key, item]) => [key, Buffer.isBuffer(item) ? new Uint8Array(item) : item]),
  )
}

/** A client that has greeted. */
export async function greeted(address: string): Promise<RawClient> {
  const client = await rawClient(address)
  await client.ask('handshake', 0, { Version: 1 })
  return client
}
