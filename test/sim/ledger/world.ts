import { createClock } from '../../../daemon/clock.ts'
import {
  type Digest,
  eraOf,
  type Millis,
  type NodeId,
  type Plan,
  type Random,
  type Statement,
} from '../../../protocol/index.ts'
import { genesis, type Intent, type LedgerValue, type Replacement, type VoterState } from '../../../rollout/index.ts'
import { type Agenda, createAgenda } from '../heap.ts'
import { EPOCH_START, nodesOf, V1 } from './fleet.ts'
import type { Broken } from './planted.ts'
import type { Schedule } from './schedule.ts'
import { newTally, type Tally } from './tally.ts'
import { createWatch, type Watch } from './watch.ts'

export interface Host {
  readonly node: NodeId
  alive: boolean
  /** Its disk and its key are lost: it never comes back. */
  gone: boolean
  life: number
  pausedUntil: number
  /** Since when it has been paused, or gone. */
  absentSince: number
  /** How far its wall clock is off, in milliseconds. */
  skew: number
  /** Its daemon's clock, as the daemon makes it of the wall clock: never goes back within one life. */
  clock: () => Millis
  machine: Replacement
  current: Digest
  intent: Intent | null
  intentFreeAt: number
  /** Voluntarily out of service: what I1 counts. Survives the daemon. */
  disrupted: boolean
  /** The voter: what it thinks, and what its disk has. */
  memory: VoterState | null
  disk: VoterState | null
  diskFreeAt: number
  silent: boolean
  /** The ledger as it last heard of it. */
  heard: LedgerValue | undefined
  /** What its group's ledger goes on from by an operator's word, once it has heard that: on its disk. */
  recovered: LedgerValue | undefined
  /** Where this host believes the voters to be. */
  first: LedgerValue
  round: number
  busy: boolean
  waiting: (() => void)[]
  wakes: number
}

/** All that one schedule is made of. */
export interface World {
  readonly random: Random
  readonly schedule: Schedule
  readonly broken: Broken | undefined
  readonly agenda: Agenda
  readonly hosts: ReadonlyMap<NodeId, Host>
  readonly all: readonly Host[]
  readonly begin: LedgerValue
  readonly watch: Watch
  now: number
  /** An operator's word by which the ledger goes on without its lost voters. */
  recovery: LedgerValue | undefined
  /** Until the last fault is over. */
  faulty: boolean
  /** Since when there has been neither fault nor order. */
  calmSince: number
  /** What has taken place so far. */
  readonly tally: Tally
  /** Hosts of another side do not reach each other. */
  sides: ReadonlyMap<NodeId, number>
  sideOf(node: NodeId): number
  /** A host that all others hear, or that hears all others, but not both. */
  oneWay: { readonly node: NodeId; readonly is: 'mute' | 'deafened' } | undefined
  /** Whether what `from` sends is on a way that leads to `to`. */
  reaches(from: NodeId, to: NodeId): boolean
  /** Plans that have been spread, by id. */
  readonly plans: Map<Digest, Statement<Plan>>
  plan(id: Digest | null): Statement<Plan> | undefined
  /** Something that happens at a host: not while it is paused, and not in another life. */
  at(host: Host, delay: number, run: () => void): void
  /** A message: late, lost, repeated, or cut off. */
  deliver(from: Host, to: Host, run: () => void): void
  latency(): number
  /** A value was found to be committed. */
  learn(value: LedgerValue): void
  /** For who measures: a host asks for a permit, goes out of service, is back in it. */
  onTurn: ((host: Host, what: 'asks' | 'down' | 'up') => void) | undefined
}

export function createWorld(schedule: Schedule, random: Random, broken: Broken | undefined): World {
  const agenda = createAgenda()
  const nodes = nodesOf(schedule.hosts)
  const voters = nodes.slice(0, schedule.voters)
  const begin: LedgerValue = { ...genesis('web', voters), targets: schedule.firstEver ? {} : { app: V1 } }
  const hosts = new Map(nodes.map(node => [node, newHost(node, begin)]))
  const world: World = {
    random,
    schedule,
    broken,
    agenda,
    hosts,
    all: [...hosts.values()],
    begin,
    watch: createWatch(begin, schedule.k),
    now: EPOCH_START,
    recovery: undefined,
    faulty: true,
    calmSince: EPOCH_START,
    tally: newTally(),
    sides: new Map(),
    sideOf: node => world.sides.get(node) ?? 0,
    oneWay: undefined,
    reaches(from, to) {
      const { oneWay } = world
      if (oneWay !== undefined && (oneWay.is === 'mute' ? from : to) === oneWay.node) return false
      return world.sideOf(from) === world.sideOf(to)
    },
    plans: new Map(),
    plan: id => (id === null ? undefined : world.plans.get(id)),
    at(host, delay, run) {
      const { life } = host
      const event = (): void => {
        if (!host.alive || host.life !== life) return
        if (host.pausedUntil > world.now) return agenda.add(host.pausedUntil, event)
        run()
      }
      agenda.add(world.now + delay, event)
    },
    latency() {
      const late = world.faulty && random.int(20) === 0
      if (late) world.tally['message-late'] += 1
      return 1 + random.int(late ? 400 : 15)
    },
    deliver(from, to, run) {
      const copies = world.faulty && random.int(50) === 0 ? 2 : 1
      for (let copy = 0; copy < copies; copy++) {
        if (copy > 0) world.tally['message-repeated'] += 1
        if (world.faulty && random.float() < schedule.loss) world.tally['message-lost'] += 1
        else if (!world.reaches(from.node, to.node)) world.tally['message-cut'] += 1
        else world.at(to, world.latency(), run)
      }
    },
    learn: () => {},
    onTurn: undefined,
  }
  for (const host of world.all) host.clock = clockOf(world, host)
  return world
}

/** Whether a host may take note of a value: of an era that begins with an operator's word it has to have heard that word. */
export const isOfEra = ({ recovered }: Host, { epoch }: LedgerValue): boolean =>
  eraOf(epoch) <= eraOf(recovered?.epoch ?? 0)

/** A new life's clock, in whole milliseconds. */
export function clockOf(world: World, host: Host): () => Millis {
  const exact = createClock(
    () => world.now + host.skew,
    () => world.now - EPOCH_START,
  )
  return () => Math.floor(exact()) as Millis
}

/** Stops a host's process for a while, unless it is stopped already. */
export function pauseFor(
  world: World,
  host: Host,
  long: number,
  why: 'pause' | 'long-pause' | 'pause-after-grant',
): void {
  if (host.pausedUntil > world.now) return
  world.tally[why] += 1
  host.pausedUntil = world.now + long
  host.absentSince = world.now
}

function newHost(node: NodeId, begin: LedgerValue): Host {
  const zero = { round: 0, node: '' }
  const voter: VoterState | null = begin.voters.includes(node)
    ? { first: begin, promised: zero, accepted: zero, value: begin, plan: null }
    : null
  return {
    node,
    alive: true,
    gone: false,
    life: 0,
    pausedUntil: 0,
    absentSince: 0,
    skew: 0,
    clock: undefined as never,
    machine: undefined as never,
    current: V1,
    intent: null,
    intentFreeAt: 0,
    disrupted: false,
    memory: voter,
    disk: voter,
    diskFreeAt: 0,
    silent: false,
    heard: undefined,
    recovered: undefined,
    first: begin,
    round: 0,
    busy: false,
    waiting: [],
    wakes: 0,
  }
}
