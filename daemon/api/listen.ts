import { chmod, lstat, unlink } from 'node:fs/promises'
import { type AddressInfo, connect, type Server } from 'node:net'
import { FleetError } from '../../protocol/index.ts'
import { isLoopback } from './guard.ts'

/** sockaddr_un holds 108 bytes on Linux and 104 on macOS and the BSDs, the closing zero included. */
const MAX_SOCKET_PATH = process.platform === 'linux' ? 107 : 103

/** An address as INTERFACE writes it: `unix:PATH` or `HOST:PORT`. */
export const isUnix = (address: string): boolean => address.startsWith('unix:')

export interface Listen {
  /** What the address was given with. */
  readonly flag?: string
  /** Other hosts may reach it: whoever connects has to prove who they are. */
  readonly guarded?: boolean
}

/**
 * Starts listening. Gives the address in the same form, with the port that was picked. Throws a `FleetError` that names the address, and
 * `flag` where another address would help.
 */
export function listen(
  server: Server,
  address: string,
  { flag = '--api', guarded = false }: Listen = {},
): Promise<string> {
  return isUnix(address) ? listenUnix(server, address.slice('unix:'.length)) : listenTcp(server, address, flag, guarded)
}

async function listenTcp(server: Server, address: string, flag: string, guarded: boolean): Promise<string> {
  const at = address.lastIndexOf(':')
  const host = address.slice(0, at)
  const port = Number(address.slice(at + 1))
  if ((guarded ? host === '' : !isLoopback(host)) || !Number.isInteger(port) || port > 65_535) {
    throw new FleetError(
      'bad-input',
      `${address} is not an address for ${flag}; use ${flag === '--api' ? 'unix:PATH, or ' : ''}HOST:PORT${guarded ? '' : ' on loopback'}`,
    )
  }
  await started(server, address, flag, () => server.listen({ host: host.replace(/^\[|\]$/g, ''), port }))
  return `${host}:${(server.address() as AddressInfo).port}`
}

async function listenUnix(server: Server, path: string): Promise<string> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new FleetError(
      'bad-input',
      `the socket path ${path} has ${Buffer.byteLength(path)} bytes and the system allows ${MAX_SOCKET_PATH}; name a shorter one with --api unix:PATH`,
    )
  }
  await removeStale(path)
  // The socket is bound before listen() returns: it is never open to others, not even for a moment.
  await started(server, `unix:${path}`, '--api', () => {
    const mask = process.umask(0o177)
    try {
      server.listen(path)
    } finally {
      process.umask(mask)
    }
  })
  await chmod(path, 0o600)
  return `unix:${path}`
}

/** Removes a socket that a daemon which was killed left behind. Throws `conflict` when somebody answers on it, or when it is no socket. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (found === undefined) return
  if (!found.isSocket()) throw new FleetError('conflict', `${path} is in the way: it exists and is not a socket`)
  if (await answers(path)) {
    throw new FleetError('conflict', `another daemon listens on ${path}; stop it, or give this one another --api`)
  }
  await unlink(path)
}

function answers(path: string): Promise<boolean> {
  return new Promise((done, fail) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Refused: nobody has it open. Anything else (no permission, a full backlog) may well be a living daemon's.
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') done(false)
      else if (error.code === 'EAGAIN') done(true)
      else
        fail(
          new FleetError('conflict', `cannot tell whether a daemon listens on ${path}: ${error.message}`, {
            cause: error,
          }),
        )
    })
  })
}

function started(server: Server, address: string, flag: string, listen: () => void): Promise<void> {
  return new Promise((done, fail) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      server.off('listening', onListening)
      fail(new FleetError('unavailable', `cannot listen on ${address}: ${reasonOf(error, flag)}`, { cause: error }))
    }
    const onListening = (): void => {
      server.off('error', onError)
      done()
    }
    server.once('error', onError)
    server.once('listening', onListening)
    listen()
  })
}

function reasonOf(error: NodeJS.ErrnoException, flag: string): string {
  switch (error.code) {
    case 'EADDRINUSE':
      return `another program listens there; give this one another ${flag}`
    case 'EACCES':
      return 'no permission'
    case 'ENOENT':
      return 'its directory does not exist'
    default:
      return error.message
  }
}
