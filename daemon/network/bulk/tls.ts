import { once } from 'node:events'
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket } from 'node:tls'
import { encode } from 'it-length-prefixed'
import type { Endpoint } from '../address.ts'
import { type Frames, framesIn } from '../frames.ts'
import type { Offer } from './offer.ts'

/**
 * TLS 1.3 with a pre-shared key and ephemeral Diffie-Hellman (RFC 8446, section 2.2): both ends prove that they know the secret, and who
 * learns it later reads nothing. No certificate: the secret is one that the two told each other over an admitted connection, so it binds
 * both peer ids. Keys that are given by callback go with SHA-256 alone.
 */
const SUITES = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256',
} as const

const HANDSHAKE_TIMEOUT = 5_000
/** Bytes that are read before somebody takes them: Node.js hands on what there is as one piece, and its 16 KiB are a quarter of a chunk. */
const READ_AHEAD = 256 * 1024
/** Bytes that may wait for the socket before `send` waits as well. */
const QUEUE = 256 * 1024

/** Takes connections that are given to it by `emit('connection', socket)`; it listens nowhere. `secretOf` is asked with what the other side names; without a secret the handshake fails. */
export function bulkServer(
  secretOf: (socket: TLSSocket, name: string) => Uint8Array | undefined,
  on: (socket: TLSSocket) => void,
): Server {
  const server = createServer({
    ...SUITES,
    handshakeTimeout: HANDSHAKE_TIMEOUT,
    // The declared type has no way to refuse; Node.js documents null for it.
    pskCallback: (socket, name) => (secretOf(socket, name) ?? null) as unknown as Uint8Array,
  })
  server.on('secureConnection', on)
  // A handshake that fails is the other side's affair; its socket is closed by Node.js.
  server.on('tlsClientError', () => undefined)
  return server
}

/** Connects and proves to know the secret. Rejects when nobody answers, or one who does not know it. */
export async function bulkConnect({ host, port }: Endpoint, offer: Offer, signal: AbortSignal): Promise<TLSSocket> {
  // Node.js documents `highWaterMark`; its declared type lacks it.
  const options: ConnectionOptions & { highWaterMark: number } = {
    ...SUITES,
    host,
    port,
    highWaterMark: READ_AHEAD,
    pskCallback: () => ({ psk: offer.secret, identity: offer.name }),
    // Called for every kind of handshake. Whoever shows a certificate, be it of an authority that this host trusts, has not used the secret.
    checkServerIdentity: (_host, certificate) =>
      certificate?.raw === undefined ? undefined : new Error('a certificate in place of the agreed secret'),
  }
  const socket = connect(options)
  const abort = (): void => void socket.destroy(new Error('was not waited for'))
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) abort()
    await once(socket, 'secureConnect')
    if (socket.getPeerCertificate()?.raw !== undefined) throw new Error('a certificate in place of the agreed secret')
    return socket
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** A TLS connection as length-prefixed frames. `onBytes` is called for every piece that arrives. */
export function socketFrames(socket: TLSSocket, maxFrame: number, onBytes: () => void): Frames {
  socket.setNoDelay(true)
  socket.on('error', () => undefined) // shows as the end of what comes in, and of `send`
  const over = new Promise<void>(resolve => {
    socket.once('finish', resolve)
    socket.once('close', () => resolve())
  })
  const waiting: { sent: () => void; failed: (reason: Error) => void }[] = []
  socket.on('drain', () => {
    for (const { sent } of waiting.splice(0)) sent()
  })
  socket.once('close', () => {
    for (const { failed } of waiting.splice(0)) failed(new Error('the connection was closed'))
  })
  let receivedBytes = 0
  const came = (bytes: number): void => {
    receivedBytes += bytes
    onBytes()
  }
  return {
    incoming: framesIn(socket as AsyncIterable<Buffer>, maxFrame, came),
    over,
    get receivedBytes() {
      return receivedBytes
    },
    get queuedBytes() {
      return socket.writableLength
    },
    send(frame) {
      if (!socket.writable) return Promise.reject(new Error('the connection was closed'))
      socket.cork()
      for (const part of encode.single(frame)) socket.write(part)
      socket.uncork()
      if (socket.writableLength <= QUEUE) return Promise.resolve()
      return new Promise((sent, failed) => waiting.push({ sent, failed }))
    },
    end() {
      socket.end()
      return over
    },
    abort: reason => void socket.destroy(reason),
  }
}
