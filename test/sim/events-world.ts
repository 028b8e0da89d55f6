import {
  type BufferBounds,
  createEvents,
  type Delivered,
  type EventsEffect,
  type EventsMachine,
  type EventsState,
  type Kept,
  keptOf,
  NO_EVENTS,
  type Remembered,
  restore,
} from '../../membership/index.ts'
import {
  decode,
  EVENT,
  type FleetEvent,
  LIMITS,
  millis,
  type NodeId,
  type Statement,
  seededRandom,
} from '../../protocol/index.ts'
import { nodeNumber, T0, unsigned } from '../membership/support.ts'

/** A way in which nodes are built wrong, for the checks to notice. */
export type Fault =
  /** A restart forgets what was delivered. */
  | 'forgets'
  /** Events are delivered without what they name as before them. */
  | 'disorder'
  /** Events go out before the disk has them. */
  | 'hasty'
  /** What gossip loses is never asked for. */
  | 'deaf'

export interface Options {
  readonly seed: number
  readonly nodes: number
  /** How many events are fired. */
  readonly events: number
  /** Virtual milliseconds in which they are, and in which faults happen. */
  readonly length: number
  /** Shares of messages. */
  readonly loss: number
  readonly duplication: number
  readonly crashes: number
  readonly cuts: number
  /** How long a cut lasts at most. */
  readonly cutLength: number
  readonly bounds?: BufferBounds
  readonly fault?: Fault
}

interface Node {
  readonly id: NodeId
  machine: EventsMachine
  up: boolean
  life: number
  wakeAt: number
  /** In memory, on its way to the disk. */
  unwritten: Remembered[]
  /** What it said that nobody has, and that it goes on without. */
  readonly excused: Set<string>
  /** On the disk. */
  readonly disk: Remembered[]
}

/** What happened at one node, in its order: what is on its disk, and so in the end what it told. */
export interface Log {
  readonly node: NodeId
  readonly items: readonly Remembered[]
  /** What others may be delivered before. */
  readonly excused: ReadonlySet<string>
}

const idOf = ({ node, seq }: Pick<FleetEvent, 'node' | 'seq'>): string => `${node}/${seq}`

/**
 * The real machines under a virtual clock, on a network that loses, doubles and reorders, with crashes that lose what is not on disk yet,
 * and cuts. Runs until the faults are over and everybody has had time to catch up. Gives every node's log and what is wrong, in sentences.
 */
export function runEvents(options: Options): { logs: Log[]; fired: number; broken: string[] } {
  const { seed, fault } = options
  const random = seededRandom(seed)
  let now = T0
  const queue: { at: number; order: number; run: () => void }[] = []
  let order = 0
  const later = (delay: number, run: () => void): void => {
    queue.push({ at: now + delay, order: order++, run })
  }
  const broken: string[] = []
  /** Every event that ever went out, by identity. */
  const outside = new Map<string, Statement<FleetEvent>>()
  let fired = 0
  let calm = false
  const cut = new Set<string>()
  const linked = (a: Node, b: Node): boolean => a !== b && a.up && b.up && !cut.has(`${a.id} ${b.id}`)

  const open = (bytes: Uint8Array): Statement<FleetEvent> => {
    const [, clock, body] = decode(bytes, LIMITS.event) as [string, number, FleetEvent]
    const statement = { ...unsigned(EVENT, body, clock), bytes }
    return fault === 'disorder' ? { ...statement, body: { ...body, after: [] } } : statement
  }
  const build = (id: NodeId, state: EventsState, kept: readonly Kept[]): EventsMachine =>
    createEvents({
      self: id,
      random,
      now: millis(now),
      state,
      kept,
      ...(options.bounds === undefined ? {} : { bounds: options.bounds }),
      sign: (kind, body) => unsigned(kind, body, now),
      open,
    })

  const nodes: Node[] = Array.from({ length: options.nodes }, (_, index) => ({
    id: nodeNumber(index),
    machine: build(nodeNumber(index), NO_EVENTS, []),
    up: false,
    life: 0,
    wakeAt: Number.POSITIVE_INFINITY,
    unwritten: [],
    excused: new Set<string>(),
    disk: [],
  }))

  const give = (node: Node, input: Parameters<EventsMachine['step']>[1]): void => {
    if (!node.up) return
    for (const effect of node.machine.step(millis(now), input)) perform(node, effect)
  }
  const perform = (node: Node, effect: EventsEffect): void => {
    switch (effect.type) {
      case 'wakeAt': {
        node.wakeAt = effect.at
        const { life } = node
        later(Math.max(0, effect.at - now), () => {
          if (node.life === life && node.wakeAt <= now) {
            node.wakeAt = Number.POSITIVE_INFINITY
            give(node, { type: 'wake' })
          }
        })
        return
      }
      case 'send': {
        const peer = nodes.find(({ id }) => id === effect.peer)!
        // A link is a stream: nothing is lost or reordered on it unless it breaks.
        if (fault !== 'deaf' && linked(node, peer))
          later(2, () => linked(node, peer) && give(peer, { type: 'frame', peer: node.id, frame: effect.frame }))
        return
      }
      case 'misbehaved':
        broken.push(`${effect.peer} is said to misbehave: ${effect.reason}`)
        return
      case 'without':
        for (let seq = effect.at; seq > 0; seq--) node.excused.add(idOf({ node: effect.cause, seq }))
        return
      case 'deliver':
      case 'lost':
      case 'settled':
        if (node.unwritten.length === 0) {
          const { life } = node
          later(random.int(30), () => node.life === life && flush(node))
        }
        node.unwritten.push(effect)
        if (fault === 'hasty' && effect.type === 'deliver') publish(node, effect.event)
        return
      default:
        effect satisfies never
    }
  }
  const flush = (node: Node): void => {
    const written = node.unwritten
    node.unwritten = []
    node.disk.push(...written)
    if (fault !== 'hasty') for (const item of written) if (item.type === 'deliver') publish(node, item.event)
  }
  const publish = (node: Node, { statement, told }: Delivered): void => {
    if (statement.body.node !== node.id || !told) return
    const before = outside.get(idOf(statement.body))
    if (before !== undefined && before.id !== statement.id)
      broken.push(`${idOf(statement.body)} is the identity of two events`)
    outside.set(idOf(statement.body), statement)
    pass(node, open(statement.bytes))
  }
  const pass = (from: Node, event: Statement<FleetEvent>): void => {
    for (const to of nodes) {
      if (!linked(from, to)) continue
      for (const copy of [0, 1]) {
        if (random.float() < (copy === 0 ? (calm ? 0 : options.loss) : 1 - options.duplication)) continue
        later(1 + random.int(random.int(5) === 0 ? 300 : 30), () => {
          if (!linked(from, to) || to.machine.worth(millis(now), event.body, from.id) !== 'news') return
          give(to, { type: 'gossip', event, peer: from.id })
          if (random.int(3) === 0) pass(to, event)
        })
      }
    }
  }

  // ---- what happens to nodes ----

  const relink = (): void => {
    for (const a of nodes) for (const b of nodes) give(a, { type: linked(a, b) ? 'linkUp' : 'linkDown', peer: b.id })
  }
  const start = (node: Node): void => {
    const kept = node.disk.flatMap(item => (item.type === 'deliver' ? [keptOf(item.event)] : []))
    const state = restore(node.id, NO_EVENTS, node.disk)
    const forgotten = { ...NO_EVENTS, cursor: state.cursor, fresh: false }
    node.up = true
    node.machine = build(node.id, fault === 'forgets' && node.life > 0 ? forgotten : state, kept)
    give(node, { type: 'wake' })
    relink()
  }
  const crash = (node: Node): void => {
    if (!node.up) return
    node.up = false
    node.life += 1
    node.unwritten = []
    relink()
    later(random.int(3_000), () => start(node))
  }
  const split = (): void => {
    const side = new Set(nodes.filter(() => random.int(2) === 0))
    const severed = nodes.flatMap(a => nodes.filter(b => side.has(a) !== side.has(b)).map(b => `${a.id} ${b.id}`))
    for (const pair of severed) cut.add(pair)
    relink()
    later(random.int(options.cutLength), () => {
      for (const pair of severed) cut.delete(pair)
      relink()
    })
  }
  const fire = (): void => {
    const node = random.pick(nodes.filter(({ up }) => up))
    if (node === undefined) return
    fired += 1
    give(node, { type: 'fire', name: `e${fired}`, payload: new Uint8Array(random.int(100)), coalesce: false })
  }

  // The first two are there from the beginning; the others join on the way.
  for (const [index, node] of nodes.entries())
    later(index < 2 ? 0 : random.int(options.length / 2), () => !node.up && node.life === 0 && start(node))
  for (let count = 0; count < options.events; count++) later(random.int(options.length), fire)
  for (let count = 0; count < options.crashes; count++)
    later(random.int(options.length), () => crash(random.pick(nodes)!))
  for (let count = 0; count < options.cuts; count++) later(random.int(options.length), split)

  const runUntil = (end: number): void => {
    for (;;) {
      let next = -1
      for (let index = 0; index < queue.length; index++) {
        const [a, b] = [queue[index]!, queue[next]]
        if (b === undefined || a.at < b.at || (a.at === b.at && a.order < b.order)) next = index
      }
      const event = queue[next]
      if (event === undefined || event.at > end) break
      queue[next] = queue.at(-1)!
      queue.pop()
      now = Math.max(now, event.at)
      event.run()
    }
    now = end
  }
  runUntil(T0 + options.length + options.cutLength + 3_000)
  calm = true
  runUntil(now + 60_000)
  const logs = nodes.map(({ id, disk, excused }) => ({ node: id, items: disk, excused }))
  return { logs, fired, broken: [...broken, ...check(logs, outside)] }
}

/** What the logs say that must not be so. `outside`: every event that went out, as its author made it. */
export function check(logs: readonly Log[], outside: ReadonlyMap<string, Statement<FleetEvent>>): string[] {
  const broken: string[] = []
  for (const { node, items, excused } of logs) {
    const who = node.slice(-4)
    /** Up to where each author's events are over, and what was delivered of them. */
    const floors = new Map<NodeId, number>()
    const delivered = new Set<string>()
    /** What events that were delivered were to come behind, and that had not come. */
    const overtaken = new Map<string, string>()
    const gone = new Set<string>()
    for (const item of items) {
      switch (item.type) {
        case 'deliver': {
          const id = idOf(item.event.statement.body)
          const { node: author, seq, after } = outside.get(id)?.body ?? item.event.statement.body
          if (delivered.has(id)) broken.push(`${who}: ${id} was delivered twice`)
          if (seq <= (floors.get(author) ?? 0)) broken.push(`${who}: ${id} was delivered late`)
          if (overtaken.has(id) && !excused.has(id))
            broken.push(`${who}: ${id} was delivered behind ${overtaken.get(id)}, which it comes before`)
          for (const [cause, at] of after)
            for (let each = at; each > (floors.get(cause) ?? 0); each--)
              overtaken.set(idOf({ node: cause, seq: each }), id)
          delivered.add(id)
          floors.set(author, Math.max(seq, floors.get(author) ?? 0))
          break
        }
        case 'lost':
          for (let seq = item.from; seq <= item.to; seq++) gone.add(idOf({ node: item.node, seq }))
          floors.set(item.node, Math.max(item.to, floors.get(item.node) ?? 0))
          break
        case 'settled':
          for (const [author, floor] of item.floors) {
            for (let seq = 1; seq <= floor; seq++) gone.add(idOf({ node: author, seq }))
            floors.set(author, Math.max(floor, floors.get(author) ?? 0))
          }
          break
        default:
          item satisfies never
      }
    }
    for (const id of outside.keys()) if (!delivered.has(id) && !gone.has(id)) broken.push(`${who}: ${id} never came`)
  }
  return broken
}
