import './promise-with-resolvers.ts'
import type { Socket } from 'node:net'
import { noise } from '@chainsafe/libp2p-noise'
import { privateKeyFromRaw } from '@libp2p/crypto/keys'
import type { MultiaddrConnection } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { type Multiaddr, multiaddr } from '@multiformats/multiaddr'
import { createLibp2p, type Libp2p, type Libp2pInit } from 'libp2p'
import type { Logger } from 'pino'
import { type Address, FleetError, type KeyPair, LIMITS } from '../../protocol/index.ts'
import { addressOf, type Endpoint, endpointOf, expandWildcard, isLocalHost, parseAddress } from './address.ts'
import { sharedPort } from './bulk/doorstep.ts'
import { guardedYamux } from './muxer.ts'
import { silentLogger } from './silent-logger.ts'

export interface NodeOptions {
  readonly key: KeyPair
  readonly lanOnly: boolean
}

/** What libp2p gives the parts that it is built from. */
export type NodeComponents = Parameters<NonNullable<Libp2pInit['transports']>[number]>[0]

export interface Node {
  readonly libp2p: Libp2p
  readonly components: NodeComponents
}

/**
 * A libp2p node that does nothing of its own accord: no identify, no pings, no dialling, no peer book. Started, and not listening. Connections
 * to its port that begin with a TLS handshake go to `onTls`.
 */
export async function createNode({ key, lanOnly }: NodeOptions, onTls: (socket: Socket) => void): Promise<Node> {
  const denied = (address: Multiaddr) => lanOnly && !isLocalHost(address.nodeAddress().address)
  let components: NodeComponents | undefined
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromRaw(Buffer.concat([key.seed, Buffer.from(key.publicKey, 'hex')])),
    logger: silentLogger,
    nodeInfo: { name: 'fleetd' },
    transports: [
      given => {
        components = given
        return sharedPort(tcp()(given), onTls)
      },
    ],
    connectionEncrypters: [noise()],
    streamMuxers: [guardedYamux()],
    connectionMonitor: { enabled: false },
    connectionGater: {
      denyDialMultiaddr: denied,
      denyInboundConnection: (connection: MultiaddrConnection) => denied(connection.remoteAddr),
    },
    connectionManager: {
      maxConnections: 1024,
      // A whole fleet on one host or behind one NAT comes from one address, and all at once after an outage.
      inboundConnectionThreshold: 256,
      maxIncomingPendingConnections: 128,
      inboundUpgradeTimeout: 5_000,
      protocolNegotiationTimeout: 5_000,
      dialTimeout: 5_000,
      reconnectRetries: 0,
    },
  })
  if (components === undefined) throw new FleetError('internal', 'libp2p did not hand out its components')
  return { libp2p, components }
}

/**
 * Listens on every address of `listen`. Rejects `unavailable` naming the one that cannot be had. A host without IPv6 is no
 * failure as long as something else can be listened on. Resolves with what is listened on, ports filled in.
 */
export async function listen(node: Node, addresses: readonly string[], log: Logger): Promise<readonly Endpoint[]> {
  let failure: FleetError | undefined
  const bound: Endpoint[] = []
  for (const address of addresses.map(parseAddress)) {
    const { host, port } = endpointOf(address)
    try {
      await node.components.transportManager.listen([multiaddr(address)])
      bound.push({ host, port: port === 0 ? boundPort(node) : port })
    } catch (cause) {
      const code = errnoOf(cause)
      const noFamily = host.includes(':') && (code === 'EAFNOSUPPORT' || code === 'EADDRNOTAVAIL' || code === 'EINVAL')
      failure = cannotListen({ host, port }, code, cause)
      if (!noFamily) throw failure
      log.info({ address: text({ host, port }), code }, 'this host has no such IPv6 address; listening without it')
    }
  }
  if (bound.length === 0 && failure !== undefined) throw failure
  return bound
}

/** The port that the newest listener was given. */
function boundPort(node: Node): number {
  const [address] = node.components.transportManager.getListeners().at(-1)?.getAddrs() ?? []
  if (address === undefined) throw new FleetError('unavailable', 'this host has no network interface to listen on')
  return address.nodeAddress().port
}

function cannotListen(endpoint: Endpoint, code: string, cause: unknown): FleetError {
  const what = `cannot listen on ${text(endpoint)}`
  const why: Record<string, string> = {
    EADDRINUSE: 'the port is taken; stop what uses it, or choose another with --listen HOST:PORT (port 0 picks one)',
    EACCES: 'not allowed to this user; choose a port above 1023 with --listen HOST:PORT',
    EADDRNOTAVAIL: 'this host has no such address; give one of its own with --listen HOST:PORT',
  }
  return new FleetError('unavailable', `${what}: ${why[code] ?? code}`, { cause, detail: { code } })
}

/** libp2p's own error tells the code of a failed listen in its text alone. */
function errnoOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? /\b(E[A-Z]{3,}[A-Z0-9]*)\b/.exec(message)?.[1] ?? message
}

function text({ host, port }: Endpoint): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Where others can reach a node: `advertise` where given, else what it listens on. */
export function reachableAt(
  bound: readonly Endpoint[],
  advertise: readonly string[],
  lanOnly: boolean,
): readonly Address[] {
  const endpoints =
    advertise.length > 0
      ? advertise.map(parseAddress).map(endpointOf)
      : bound.flatMap(endpoint => expandWildcard(endpoint))
  const allowed = endpoints.filter(({ host }) => !lanOnly || isLocalHost(host))
  return [...new Set(allowed.map(addressOf))].slice(0, LIMITS.addresses)
}
