import { once } from 'node:events'
import type { OnReadOpts } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type ConnectionOptions, connect, createServer, type Server, type TLSSocket } from 'node:tls'
import type { Endpoint } from '../address.ts'
import { FRAMES_A_TURN, type Frames } from '../frames.ts'
import { createFrameReader } from './frame-reader.ts'
import type { Offer } from './offer.ts'
import { type Pieces, piecesFor, piecesOf } from './pieces.ts'

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
/** Bytes that are read before somebody takes them. */
const READ_AHEAD = 256 * 1024
/** What a frame takes in memory beside its bytes. */
const A_FRAME = 128
/** Bytes that may wait for the socket before `send` waits as well. */
const QUEUE = 256 * 1024

/** One end of a TLS connection. */
export interface End {
  readonly socket: TLSSocket
  readonly pieces: Pieces
}

/** Takes connections that are given to it by `emit('connection', socket)`; it listens nowhere. `secretOf` is asked with what the other side names; without a secret the handshake fails. */
export function bulkServer(
  secretOf: (socket: TLSSocket, name: string) => Uint8Array | undefined,
  on: (end: End) => void,
): Server {
  const server = createServer({
    ...SUITES,
    handshakeTimeout: HANDSHAKE_TIMEOUT,
    // The declared type has no way to refuse; Node.js documents null for it.
    pskCallback: (socket, name) => (secretOf(socket, name) ?? null) as unknown as Uint8Array,
  })
  server.on('secureConnection', socket => on({ socket, pieces: piecesOf(socket) }))
  // A handshake that fails is the other side's affair; its socket is closed by Node.js.
  server.on('tlsClientError', () => undefined)
  return server
}

/** Connects and proves to know the secret. Rejects when nobody answers, or one who does not know it. */
export async function bulkConnect({ host, port }: Endpoint, offer: Offer, signal: AbortSignal): Promise<End> {
  const { onread, of } = piecesFor()
  // Node.js takes `onread` as for any socket (net.md, "new net.Socket"); its declared type lacks it.
  const options: ConnectionOptions & { readonly onread: OnReadOpts } = {
    ...SUITES,
    host,
    port,
    onread,
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
    return { socket, pieces: of(socket) }
  } catch (error) {
    socket.destroy()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** A TLS connection as length-prefixed frames. `onBytes` is called for every piece that arrives. */
export function socketFrames({ socket, pieces }: End, maxFrame: number, onBytes: () => void): Frames {
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
    incoming: incomingOf({ socket, pieces }, maxFrame, came),
    over,
    get receivedBytes() {
      return receivedBytes
    },
    get queuedBytes() {
      return socket.writableLength
    },
    send(frame, headroom = 0) {
      if (!socket.writable) return Promise.reject(new Error('the connection was closed'))
      // In one piece: Node.js copies what it is to encrypt in several.
      socket.write(withLength(frame, headroom))
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

/** The longest length of a frame: four times seven bits. */
const LONGEST_LENGTH = 4

/** A frame behind its length, in its own memory where there is room. */
export function withLength(frame: Uint8Array, headroom: number): Uint8Array {
  const size =
    frame.byteLength < 0x80 ? 1 : frame.byteLength < 0x4000 ? 2 : frame.byteLength < 0x20_0000 ? 3 : LONGEST_LENGTH
  const inPlace = headroom >= size
  const bytes = inPlace
    ? Buffer.from(frame.buffer, frame.byteOffset - size, size + frame.byteLength)
    : Buffer.allocUnsafe(size + frame.byteLength)
  for (let at = 0, left = frame.byteLength; at < size; at++, left >>>= 7)
    bytes[at] = at === size - 1 ? left : (left & 0x7f) | 0x80
  if (!inPlace) bytes.set(frame, size)
  return bytes
}

/** The frames that come in. Those that nobody has taken yet are read no further than READ_AHEAD. */
function incomingOf({ socket, pieces }: End, maxFrame: number, came: (bytes: number) => void): Frames['incoming'] {
  const queue: Uint8Array[] = []
  let queued = 0
  let over = false
  let failure: unknown
  let wake = (): void => {}
  const reader = createFrameReader(maxFrame, frame => {
    queue.push(frame)
    queued += frame.byteLength + A_FRAME
  })
  const end = (reason?: unknown): void => {
    if (over) return
    over = true
    failure = reason
    wake()
  }
  pieces.to(piece => {
    if (over) return false
    came(piece.byteLength)
    try {
      reader.take(piece)
    } catch (error) {
      end(error)
      return false
    }
    wake()
    return queued < READ_AHEAD
  })
  socket.once('end', () =>
    end(reader.inTheMiddle ? new Error('the connection ended in the middle of a frame') : undefined),
  )
  socket.once('close', () => end(new Error('the connection was closed')))

  return (async function* () {
    for (let taken = 1; ; taken++) {
      while (queue.length === 0) {
        if (over && failure !== undefined) throw failure
        if (over) return
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      const frame = queue.shift()!
      const full = queued >= READ_AHEAD
      queued -= frame.byteLength + A_FRAME
      if (full && queued < READ_AHEAD && !over) pieces.resume()
      yield frame
      // What has arrived is read without a turn of the loop in between: a mebibyte of the smallest frames would hold it.
      if (taken % FRAMES_A_TURN === 0) await nextTurn()
    }
  })()
}
