import type { Connection } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import type { Libp2p } from 'libp2p'
import { type Address, LIMITS, type NodeId } from '../../protocol/index.ts'
import { timeLimit } from '../time-limit.ts'
import { addressOf, type Endpoint, endpointOf, isLocalHost, resolveEndpoint } from './address.ts'
import { knockAt } from './knock.ts'
import { DialError, type DialFailure } from './network.ts'
import { parseRelayed, type RelayedAddress } from './relay/index.ts'
import type { Session, Sessions } from './sessions.ts'

/** How long one address may take, connection and admission together. */
const ATTEMPT_TIMEOUT = 5_000
/** How long a host may take to answer a knock, in milliseconds; one that does not is dialled all the same. */
const KNOCK_TIMEOUT = 1_500
/** RFC 8305 (Happy Eyeballs), section 5: how long the next address waits for the one before it. */
const ATTEMPT_DELAY = 250

interface Dialer {
  readonly libp2p: Libp2p
  readonly sessions: Sessions
  readonly lanOnly: boolean
  /** Connects to a node through a relay; undefined where relays are not used. */
  readonly through: ((node: NodeId, via: RelayedAddress, signal: AbortSignal) => Promise<Connection>) | undefined
}

/**
 * Connects to whoever of `addresses` answers first, and resolves once it is admitted. With `node` given, anybody else
 * counts as a stranger. Addresses are tried one after another, each with a small head start, and relays after all others. Rejects with DialError.
 */
export async function dial(
  dialer: Dialer,
  node: NodeId | undefined,
  addresses: readonly Address[],
  signal: AbortSignal,
): Promise<Session> {
  const given = addresses.slice(0, LIMITS.addresses)
  const endpoints = await untilAborted(usableEndpoints(given, dialer.lanOnly), signal)
  const relays =
    node === undefined || dialer.through === undefined ? [] : given.flatMap(each => parseRelayed(each) ?? [])
  if (endpoints.length + relays.length === 0) {
    const why = addresses.length === 0 ? 'no address is known' : `none of ${addresses.join(', ')} can be used`
    const rule = dialer.lanOnly ? ' (--lan-only allows private and link-local addresses alone)' : ''
    throw new DialError('unreachable', `cannot dial ${node ?? 'the peer'}: ${why}${rule}`)
  }
  const race = new AbortController()
  const abort = () => race.abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    if (signal.aborted) throw new DialError('aborted', 'the dial was cancelled')
    return await firstOf([
      ...endpoints.map(endpoint => () => attempt(dialer, node, directly(dialer, endpoint), race.signal)),
      ...relays.map(via => () => attempt(dialer, node, relayed(dialer, node!, via), race.signal)),
    ])
  } catch (error) {
    if (signal.aborted) throw new DialError('aborted', 'the dial was cancelled', { cause: error })
    // Who needs relays is not dialled at its own addresses by everybody, and on our LAN they may be another host's.
    if (relays.length > 0 && error instanceof DialError && error.failure === 'refused')
      throw new DialError('unreachable', error.message, { cause: error })
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
    race.abort()
  }
}

/** Starts one attempt after the other, the next after a delay or when the one before failed; the first success wins. */
function firstOf(attempts: readonly (() => Promise<Session>)[]): Promise<Session> {
  return new Promise((resolve, reject) => {
    const failures: DialError[] = []
    let next = 0
    let timer: NodeJS.Timeout | undefined
    const start = () => {
      clearTimeout(timer)
      const run = attempts[next++]
      if (run === undefined) return
      timer = setTimeout(start, ATTEMPT_DELAY)
      run().then(
        session => {
          clearTimeout(timer)
          next = attempts.length
          resolve(session)
        },
        error => {
          failures.push(toDialError(error))
          if (failures.length === attempts.length) reject(verdict(failures))
          else start()
        },
      )
    }
    start()
  })
}

/**
 * What several failures say together. A process is only known to be gone when every address that said anything refused;
 * one that timed out may be the one where it lives.
 */
function verdict(failures: readonly DialError[]): DialError {
  const order: readonly DialFailure[] = ['stranger', 'timeout', 'aborted', 'refused', 'unreachable']
  const worst = order.find(failure => failures.some(error => error.failure === failure)) ?? 'unreachable'
  const message = [...new Set(failures.map(error => error.message))].join('; ')
  return new DialError(worst, message, { cause: failures.find(error => error.failure === worst) })
}

/** One way to a peer. */
interface Way {
  readonly address: Address
  connect(signal: AbortSignal): Promise<Connection>
}

function directly({ libp2p }: Pick<Dialer, 'libp2p'>, endpoint: Endpoint): Way {
  const address = addressOf(endpoint)
  // Without the peer's id in the address, because libp2p would join dials of one peer and try them one by one.
  return { address, connect: signal => libp2p.dial(multiaddr(address), { signal, force: true }) }
}

function relayed({ through }: Dialer, node: NodeId, via: RelayedAddress): Way {
  return { address: via.at, connect: signal => through!(node, via, signal) }
}

async function attempt(
  { sessions }: Dialer,
  node: NodeId | undefined,
  { address, connect }: Way,
  race: AbortSignal,
): Promise<Session> {
  const limit = timeLimit(ATTEMPT_TIMEOUT)
  const signal = AbortSignal.any([race, limit])
  let connection: Connection | undefined
  try {
    connection = await connect(signal)
    const peer = connection.remotePeer.toString()
    if (node !== undefined && peer !== node) throw new DialError('stranger', `${address} is ${peer}, not ${node}`)
    const [older] = sessions.of(peer as NodeId)
    if (older !== undefined) {
      if (older.connection !== connection) void connection.close().catch(() => {})
      return older
    }
    return await untilAborted(sessions.admitted(connection), signal)
  } catch (error) {
    connection?.abort(new Error('dial failed'))
    if (limit.aborted) throw new DialError('timeout', `${address} did not answer in ${ATTEMPT_TIMEOUT / 1000} s`)
    throw toDialError(error, address)
  }
}

/**
 * Whether `node` itself answers at one of these addresses, whatever connections there are to it. Never rejects. Where it speaks to us from, `observed`, is
 * its own address, and a knock there will do; elsewhere each is dialled anew to see whose key answers, and what comes of it is ended at once.
 */
export async function answersAt(
  dialer: Pick<Dialer, 'libp2p' | 'lanOnly'>,
  node: NodeId,
  addresses: readonly Address[],
  observed: string | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const endpoints = await usableEndpoints(addresses.slice(0, LIMITS.addresses), dialer.lanOnly)
  const own = endpoints.filter(({ host }) => host === observed)
  if (own.length > 0 && (await knockAt(own, KNOCK_TIMEOUT)) === 'open') return true
  const found = endpoints.map(async endpoint => {
    const connection = await directly(dialer, endpoint).connect(signal)
    connection.abort(new Error('it was only asked who answers'))
    if (connection.remotePeer.toString() !== node) throw new Error('somebody else answers there')
  })
  return Promise.any(found).then(
    () => true,
    () => false,
  )
}

/** What `promise` gives, or DialError `aborted` as soon as `signal` is; the promise itself runs on. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new DialError('aborted', 'the dial was cancelled'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function toDialError(error: unknown, address?: Address): DialError {
  if (error instanceof DialError) return error
  const where = address === undefined ? '' : `${address} `
  const codes = [...chain(error)].map(link => link.code ?? link.name)
  const has = (...wanted: string[]) => codes.some(code => code !== undefined && wanted.includes(code))
  const message = error instanceof Error ? error.message : String(error)
  const options = { cause: error }
  if (has('ECONNREFUSED')) return new DialError('refused', `${where}refused the connection`, options)
  if (has('TimeoutError', 'ETIMEDOUT')) return new DialError('timeout', `${where}did not answer`, options)
  if (has('AbortError', 'ABORT_ERR')) return new DialError('aborted', `${where}was not waited for`, options)
  if (has('unauthorized', 'EncryptionFailedError', 'InvalidPeerIdError', 'UnsupportedProtocolError'))
    return new DialError('stranger', `${where}is not of our fleet: ${message}`, options)
  return new DialError('unreachable', `${where}cannot be reached: ${message}`, options)
}

/** An error with its causes and parts, in no particular order. */
function* chain(error: unknown): Iterable<{ code?: string; name?: string }> {
  if (!(error instanceof Error)) return
  yield error as { code?: string; name?: string }
  yield* chain(error.cause)
  if (error instanceof AggregateError) for (const part of error.errors) yield* chain(part)
}

/** Names are resolved here and not by the socket, so that a name cannot lead out of the LAN either. */
export async function usableEndpoints(addresses: readonly Address[], lanOnly: boolean): Promise<readonly Endpoint[]> {
  const resolved = await Promise.all(
    addresses.map(async address => {
      try {
        return await resolveEndpoint(endpointOf(address), lanOnly)
      } catch {
        return [] // an unknown name, or one that must not be asked for, is an address that cannot be used
      }
    }),
  )
  const unique = new Map(resolved.flat().map(endpoint => [addressOf(endpoint), endpoint]))
  return [...unique.values()].filter(({ host }) => !lanOnly || isLocalHost(host))
}
