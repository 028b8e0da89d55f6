import type { OnReadOpts, Socket } from 'node:net'

/** The bytes that come in over a socket, as they come. */
export interface Pieces {
  /** Gives each piece to `take`, which may not keep it; where that says false, none more comes until `resume`. To be called once. */
  to(take: (piece: Uint8Array) => boolean): void
  resume(): void
}

/** What Node.js gives at a time: a TLS record at most. */
const PIECE = 16 * 1024

/** Of a socket that somebody else has made, as a stream. */
export function piecesOf(socket: Socket): Pieces {
  return {
    to(take) {
      socket.on('data', piece => {
        if (!take(piece)) socket.pause()
      })
    },
    resume: () => void socket.resume(),
  }
}

/**
 * Of a socket that is yet to be made with `onread`: past Node.js's streams, whose work for each piece is several times that of decrypting it. Nothing may come before
 * `to` is called; `resume` takes the socket that was made.
 */
export function piecesFor(): { readonly onread: OnReadOpts; readonly of: (socket: Socket) => Pieces } {
  let take: (piece: Uint8Array) => boolean = () => true
  const buffer = Buffer.allocUnsafeSlow(PIECE)
  return {
    onread: { buffer, callback: length => take(buffer.subarray(0, length)) },
    of: socket => ({
      to(next) {
        take = next
      },
      resume: () => void socket.resume(),
    }),
  }
}
