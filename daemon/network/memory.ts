import {
  type Address,
  FleetError,
  type KeyPair,
  LIMITS,
  type NodeId,
  nodeIdOf,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import { addressOf } from './address.ts'
import { memoryChannel } from './memory-channel.ts'
import type { RequestHandler } from './network.ts'
import { type Admission, type Channel, DialError, type Network, type NetworkEvents, type Topic } from './network.ts'

/**
 * A network in one process, for tests: what one node does reaches another as one delivery after the other, in the order
 * it was done. Nothing is lost; a cut holds deliveries back until it heals, as TCP does.
 */
export interface MemoryHub {
  /** A node that others can dial at `address` (one of its own choice when none is given) once it is started. */
  createNetwork(options: { key: KeyPair; admission: Admission; address?: Address }): Network
  /** Cuts two nodes off from each other, both ways: dials time out, the rest waits. */
  partition(a: NodeId, b: NodeId): void
  /** Ends every cut. */
  heal(): void
  /** The node's process dies: its links are reset, and dialling it is refused. */
  kill(node: NodeId): void
  /** Carries out the oldest delivery. False when there is none. */
  step(): boolean
}

/** `automatic`: a delivery happens in a microtask of its own. `manual`: only `step` carries one out. */
export function createMemoryHub(delivery: 'automatic' | 'manual' = 'automatic'): MemoryHub {
  const nodes = new Map<NodeId, Node>()
  const queue: (() => void)[] = []
  const cuts = new Map<string, (() => void)[]>()
  const cutBetween = (a: NodeId, b: NodeId) => cuts.get([a, b].sort().join())

  const step = () => {
    const next = queue.shift()
    next?.()
    return next !== undefined
  }
  const hub: Hub = {
    nodes,
    deliver(from, to, action) {
      const held = cutBetween(from, to)
      if (held !== undefined) {
        held.push(() => hub.deliver(from, to, action))
        return
      }
      queue.push(action)
      if (delivery === 'automatic') queueMicrotask(step)
    },
    isCut: (a, b) => cutBetween(a, b) !== undefined,
  }

  return {
    createNetwork({ key, admission, address }) {
      const self = nodeIdOf(key.publicKey)
      const at = address ?? addressOf({ host: '127.0.0.1', port: 10_000 + nodes.size })
      return memoryNetwork(hub, self, at, admission)
    },
    partition: (a, b) => void cuts.set([a, b].sort().join(), cutBetween(a, b) ?? []),
    heal() {
      const held = [...cuts.values()].flat()
      cuts.clear()
      for (const action of held) action()
    },
    kill: node => nodes.get(node)?.die('reset'),
    step,
  }
}

interface Hub {
  readonly nodes: Map<NodeId, Node>
  deliver(from: NodeId, to: NodeId, action: () => void): void
  isCut(a: NodeId, b: NodeId): boolean
}

/** One node as the others see it: each function is called by a delivery. */
interface Node {
  readonly address: Address
  readonly admission: Admission
  /** Peers that are admitted here, with what they showed. */
  readonly admitted: Map<NodeId, Uint8Array>
  readonly linked: Set<NodeId>
  readonly requestHandlers: Map<string, RequestHandler>
  readonly channelHandlers: Map<string, (channel: Channel) => void>
  /** Called when the node goes, with the reason that its peers are told. */
  readonly dying: Set<() => void>
  events(): NetworkEvents | undefined
  linkUp(peer: NodeId): void
  linkDown(peer: NodeId, cause: 'closed' | 'reset'): void
  gossip(topic: Topic, message: Uint8Array, from: NodeId): void
  die(cause: 'closed' | 'reset'): void
}

function memoryNetwork(hub: Hub, self: NodeId, address: Address, admission: Admission): Network {
  let state: 'new' | 'running' | 'stopped' = 'new'
  let events: NetworkEvents | undefined
  const seen = new Set<string>()

  const node: Node = {
    address,
    admission,
    admitted: new Map(),
    linked: new Set(),
    requestHandlers: new Map(),
    channelHandlers: new Map(),
    dying: new Set(),
    events: () => events,
    linkUp(peer) {
      if (events === undefined || node.linked.has(peer)) return
      node.linked.add(peer)
      events.linkUp(peer)
    },
    linkDown(peer, cause) {
      node.admitted.delete(peer)
      if (node.linked.delete(peer)) events?.linkDown(peer, cause)
    },
    gossip(topic, message, from) {
      const id = sha256(message)
      if (events === undefined || seen.has(id)) return
      seen.add(id)
      events.heard(from)
      if (events.gossip(topic, Uint8Array.from(message), from) === 'accept') spread(topic, message, from)
    },
    die(cause) {
      if (state !== 'running') return
      state = 'stopped'
      events = undefined
      for (const peer of node.admitted.keys()) hub.deliver(self, peer, () => hub.nodes.get(peer)?.linkDown(self, cause))
      node.linked.clear()
      node.admitted.clear()
      for (const end of [...node.dying]) end()
    },
  }

  function spread(topic: Topic, message: Uint8Array, except?: NodeId): void {
    for (const peer of node.linked)
      if (peer !== except) hub.deliver(self, peer, () => hub.nodes.get(peer)?.gossip(topic, message, self))
  }

  /** Resolves once everything done so far has been delivered to `peer`. Rejects DialError `aborted` with the signal. */
  function turn(peer: NodeId, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = () => reject(new DialError('aborted', 'the dial was cancelled'))
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      hub.deliver(self, peer, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
    })
  }

  function find(wanted: NodeId | undefined, addresses: readonly Address[]): { peer: NodeId; other: Node } {
    const [peer, other] =
      [...hub.nodes].find(([, { address, events }]) => addresses.includes(address) && events() !== undefined) ?? []
    if (wanted !== undefined && hub.isCut(self, wanted)) throw new DialError('timeout', `${wanted} did not answer`)
    if (addresses.length === 0) throw new DialError('unreachable', `no address of ${wanted ?? 'the peer'} is known`)
    if (peer === undefined || other === undefined)
      throw new DialError('refused', `${addresses.join(', ')} refused the connection`)
    if (hub.isCut(self, peer)) throw new DialError('timeout', `${addresses.join(', ')} did not answer`)
    if (peer === self || (wanted !== undefined && peer !== wanted))
      throw new DialError('stranger', `${addresses.join(', ')} is ${peer}`)
    return { peer, other }
  }

  /** Makes sure that `self` and the peer have admitted each other. */
  async function meet(
    wanted: NodeId | undefined,
    addresses: readonly Address[],
    signal: AbortSignal,
  ): Promise<{ peer: NodeId; other: Node }> {
    if (state !== 'running') throw new FleetError('unavailable', 'the network is not running')
    const known = wanted === undefined ? undefined : hub.nodes.get(wanted)
    if (wanted !== undefined && known !== undefined && node.admitted.has(wanted)) return { peer: wanted, other: known }
    const { peer, other } = find(wanted, addresses)
    await turn(peer, signal)
    const ours = admission.credentials()
    const theirs = other.admission.credentials()
    const mutual =
      ours !== undefined &&
      theirs !== undefined &&
      ours.fleet === theirs.fleet &&
      other.admission.judge(self, ours.certificate).admitted &&
      admission.judge(peer, theirs.certificate).admitted
    if (!mutual) throw new DialError('stranger', `${addresses.join(', ')} is not of our fleet`)
    if (state !== 'running' || other.events() === undefined)
      throw new DialError('refused', `${addresses.join(', ')} refused the connection`)
    node.admitted.set(peer, theirs.certificate)
    other.admitted.set(self, ours.certificate)
    return { peer, other }
  }

  async function meetForCall(
    wanted: NodeId,
    { signal, addresses = [] }: { signal: AbortSignal; addresses?: readonly Address[] },
  ): Promise<Node> {
    try {
      return (await meet(wanted, addresses, signal)).other
    } catch (error) {
      if (!(error instanceof DialError)) throw error
      const late = error.failure === 'timeout' || error.failure === 'aborted'
      throw new FleetError(late ? 'timeout' : 'unavailable', `${wanted} cannot be asked: ${error.message}`)
    }
  }

  function disconnect(peer: NodeId): void {
    if (!node.admitted.has(peer)) return
    node.linkDown(peer, 'closed')
    hub.deliver(self, peer, () => hub.nodes.get(peer)?.linkDown(self, 'closed'))
  }

  return {
    self,
    addresses: () => [address],
    async start(given) {
      if (state !== 'new') throw new FleetError('internal', 'a network is started once')
      const taken = [...hub.nodes.values()].some(other => other.address === address && other.events() !== undefined)
      if (taken) throw new FleetError('unavailable', `cannot listen on ${address}: the port is taken`)
      state = 'running'
      events = given
      hub.nodes.set(self, node)
    },
    async stop() {
      node.die('closed')
    },
    reconsider() {
      for (const [peer, certificate] of [...node.admitted])
        if (admission.credentials() === undefined || !admission.judge(peer, certificate).admitted) disconnect(peer)
    },
    async connect(wanted, addresses, signal) {
      const { peer, other } = await meet(wanted, addresses, signal)
      if (node.linked.has(peer)) return peer
      hub.deliver(self, peer, () => {
        if (node.admitted.has(peer)) other.linkUp(self)
      })
      await turn(peer, signal)
      if (other.linked.has(self)) node.linkUp(peer)
      if (!node.linked.has(peer)) throw new DialError('refused', `${peer} went away`)
      return peer
    },
    async knock(at) {
      const found = [...hub.nodes].find(([, other]) => at.includes(other.address))
      if (found !== undefined && hub.isCut(self, found[0])) return 'none'
      return found?.[1].events() === undefined ? 'refused' : 'open'
    },
    disconnect,
    links: () => [...node.linked],
    send(peer, frame) {
      if (!node.linked.has(peer) || frame.byteLength === 0 || frame.byteLength > LIMITS.linkFrame) return false
      const copy = Uint8Array.from(frame)
      hub.deliver(self, peer, () => {
        const other = hub.nodes.get(peer)
        if (other === undefined || !other.linked.has(self)) return
        other.events()?.heard(self)
        other.events()?.frame(self, copy)
      })
      return true
    },
    publish(topic, message) {
      if (message.byteLength === 0 || message.byteLength > LIMITS.gossip)
        throw new FleetError(
          'too-large',
          `a gossiped message has 1 to ${LIMITS.gossip} bytes, not ${message.byteLength}`,
        )
      const copy = Uint8Array.from(message)
      seen.add(sha256(copy))
      spread(topic, copy)
    },
    async request(wanted, service, body, given) {
      if (body.byteLength > LIMITS.rpcMessage)
        throw new FleetError('too-large', `a request has at most ${LIMITS.rpcMessage} bytes, not ${body.byteLength}`)
      const other = await meetForCall(wanted, given)
      return new Promise((resolve, reject) => {
        const gone = new AbortController()
        const settle = (outcome: () => void) => {
          given.signal.removeEventListener('abort', late)
          other.dying.delete(lost)
          gone.abort()
          outcome()
        }
        const late = () =>
          settle(() => reject(new FleetError('timeout', `${wanted} did not answer the request ${service} in time`)))
        const lost = () =>
          settle(() => reject(new FleetError('unavailable', `${wanted} closed the connection before it answered`)))
        if (given.signal.aborted) return late()
        given.signal.addEventListener('abort', late, { once: true })
        other.dying.add(lost)
        hub.deliver(self, wanted, () => {
          other.events()?.heard(self)
          void answer(other, self, service, Uint8Array.from(body), gone.signal).then(
            response => hub.deliver(wanted, self, () => settle(() => resolve(response))),
            error => hub.deliver(wanted, self, () => settle(() => reject(copyOf(error)))),
          )
        })
      })
    },
    serve: (service, handler) => void node.requestHandlers.set(service, handler),
    async openChannel(wanted, service, given) {
      const other = await meetForCall(wanted, given)
      const [ours, theirs] = memoryChannel(self, wanted, (from, to, action) => hub.deliver(from, to, action))
      node.dying.add(ours.close)
      other.dying.add(theirs.close)
      hub.deliver(self, wanted, () => {
        const handler = other.channelHandlers.get(service)
        if (handler === undefined || other.events() === undefined) theirs.close()
        else handler(theirs)
      })
      return ours
    },
    acceptChannels: (service, handler) => void node.channelHandlers.set(service, handler),
  }
}

async function answer(
  node: Node,
  from: NodeId,
  service: string,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const handler = node.requestHandlers.get(service)
  if (handler === undefined) throw new FleetError('not-found', `this daemon has no service ${service}`)
  return Uint8Array.from(await handler(from, body, signal))
}

function copyOf(error: unknown): FleetError {
  const { code, message, detail } = toFleetError(error)
  return new FleetError(code, message, { detail: { ...detail } })
}
