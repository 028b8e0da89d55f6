import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { isIP, type Socket } from 'node:net'
import type { Logger } from 'pino'
import { isOurs } from './interfaces.ts'

/** So many closed sockets may be held: to listen for the end of each costs more. */
const SWEEP_AT = 64

/** The TCP sockets of this process that have an end at an address of this host. */
export interface Sockets {
  /**
   * Destroys the connections whose own address this host does not have any more. Not a byte can come over them again, and TCP would
   * keep them for a quarter of an hour; destroyed, they are made again from where the host is now.
   */
  endStranded(): Promise<void>
  close(): void
}

/** Follows the sockets that are opened from now on. libp2p keeps its own out of sight, so it is Node.js that tells of them. */
export function followSockets(log: Logger): Sockets {
  const open = new Set<Socket>()
  let sweepAt = SWEEP_AT
  const onSocket = (message: unknown): void => {
    const { socket } = message as { socket?: Socket }
    if (socket === undefined) return
    open.add(socket)
    if (open.size < sweepAt) return
    for (const each of open) if (each.destroyed) open.delete(each)
    sweepAt = SWEEP_AT + 2 * open.size
  }
  const channels = ['net.client.socket', 'net.server.socket']
  for (const channel of channels) subscribe(channel, onSocket)
  return {
    async endStranded() {
      const at = new Map<string, Socket[]>()
      for (const socket of open) {
        if (socket.destroyed) continue
        const address = plain(socket.localAddress)
        if (address !== undefined) at.set(address, [...(at.get(address) ?? []), socket])
      }
      for (const [address, sockets] of at) {
        if (await isOurs(address)) continue
        log.info({ address, connections: sockets.length }, `this host has lost the address ${address}`)
        const gone = Object.assign(new Error(`this host has lost the address ${address}`), { code: 'ECONNRESET' })
        for (const socket of sockets) socket.destroy(gone)
      }
    },
    close() {
      for (const channel of channels) unsubscribe(channel, onSocket)
    },
  }
}

/** A socket's own address without what the kernel puts around it; undefined for a Unix socket, one that is not connected, and loopback. */
function plain(address: string | undefined): string | undefined {
  const bare = address?.replace(/^::ffff:(?=\d+\.)/i, '')
  if (bare === undefined || isIP(bare) === 0 || bare.startsWith('127.') || bare === '::1') return undefined
  // An address of the link is an address of some interface: it cannot be asked for without saying of which.
  return /^fe[89ab]/i.test(bare) ? undefined : bare
}
