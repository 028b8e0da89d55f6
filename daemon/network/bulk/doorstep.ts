import type { Server, Socket } from 'node:net'
import type { Listener, Transport } from '@libp2p/interface'

/** The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1). libp2p's first is 0x13, the length of `/multistream/1.0.0`. */
const TLS_HANDSHAKE = 0x16
/** How long a connection may take to say its first byte, in milliseconds. */
const FIRST_BYTE = 5_000
/** Connections that have said nothing yet. When there is one more the oldest makes way, as with those that wait for admission. */
const MAX_SILENT = 128

/** libp2p's listener keeps its server to itself; that it is still there is what every test of two nodes shows. */
interface Insides {
  readonly server: Server
}

/**
 * The transport with its port shared: a connection that begins with a TLS handshake goes to `onTls`, everything else to libp2p. One
 * port, because it is the one that is open in the firewall.
 */
export function sharedPort(transport: Transport, onTls: (socket: Socket) => void): Transport {
  const createListener = transport.createListener.bind(transport)
  transport.createListener = options => {
    const listener = createListener(options) as Listener & Insides
    const { server } = listener
    const toLibp2p = server.listeners('connection') as ((socket: Socket) => void)[]
    server.removeAllListeners('connection')
    const silent = new Set<Socket>()
    server.on('connection', socket => {
      silent.add(socket)
      if (silent.size > MAX_SILENT) silent.values().next().value!.destroy()
      byFirstByte(socket, byte => {
        silent.delete(socket)
        // libp2p's listener throws at what is handed to it once it closes, and nothing would catch that here.
        if (byte === undefined || !server.listening) socket.destroy()
        else if (byte === TLS_HANDSHAKE) onTls(socket)
        else for (const take of toLibp2p) take(socket)
      })
    })
    const close = listener.close.bind(listener)
    listener.close = () => {
      const closed = close()
      for (const socket of silent) socket.destroy()
      return closed
    }
    return listener
  }
  return transport
}

/** Looks at the first byte and leaves it where it was. Undefined when none comes. Calls back once. */
function byFirstByte(socket: Socket, then: (byte: number | undefined) => void): void {
  const timer = setTimeout(() => conclude(undefined), FIRST_BYTE)
  const conclude = (byte: number | undefined): void => {
    clearTimeout(timer)
    socket.off('readable', look)
    socket.off('close', gone)
    socket.off('error', gone)
    then(byte)
  }
  const gone = (): void => conclude(undefined)
  const look = (): void => {
    const first: Buffer | null = socket.read(1)
    if (first === null) {
      // Woken by the end of a connection that has said nothing.
      if (socket.readableEnded) gone()
      return
    }
    socket.unshift(first)
    conclude(first[0])
  }
  socket.on('readable', look)
  socket.on('close', gone)
  socket.on('error', gone)
}
