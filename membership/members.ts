import {
  type Address,
  type Coordinate,
  type Digest,
  type Health,
  type LayerStatus,
  type Millis,
  millis,
  type NodeClass,
  type NodeId,
  type Service,
  type ServiceVitals,
  type Suspicion,
  unpackCoordinate,
} from '../protocol/index.ts'
import type { Atlas, Seat } from './atlas.ts'
import { sized } from './slots.ts'
import type { Entry, Table } from './table.ts'

/** `away` and `overdue` are for class intermittent alone, which is never `failed`. */
export type Status = 'alive' | 'suspect' | 'failed' | 'left' | 'away' | 'overdue'

/** One observer's suspicion of the version of a record that is known, as this node came to hold it. */
export interface Doubt {
  /** When it was heard here; for a member that was first heard of with it, when its author says. */
  at: Millis
  evidence: Suspicion['evidence']
  /** When its author first said this much, which may be later than `at`. */
  evidentAt: Millis
  /** The observer is assigned to the subject in our view. */
  assigned: boolean
}

/** What this node makes of one member: the entry is what was said, the rest its own conclusions. */
export interface Member {
  readonly id: NodeId
  readonly slot: number
  readonly entry: Entry
  status: Status
  /** When it came into this status. */
  since: Millis
  /** When it was last heard on a link, or said something new. */
  heardAt: Millis
  /** Smoothed round trip of probes, milliseconds. */
  rtt: number | undefined
  /** The newest that it has said, in an answer to a probe (set then) or in its vitals. */
  coordinate: Coordinate | undefined
  /** By observer; held for as long as its fate is open. */
  readonly doubts: ReadonlyMap<NodeId, Doubt>
  /** When it counts as failed unless it refutes; Infinity with no doubts. */
  failsAt: number
  /** It was failed or overdue by this node's own judgement when it came into this status: what a dismissal of it hangs on. */
  missing: boolean
  /** It has been gone for so long, or was pruned, that nobody is told of it any more. It is still kept, so that no late word of it makes it a new member. */
  reaped: boolean
  /** When it was last shown the suspicions against it. */
  toldAt: number
  /** Adds a doubt, or takes the place of the observer's earlier one. */
  doubt(observer: NodeId, doubt: Doubt): void
  /** Takes one observer's doubt back, or all of them. */
  trust(observer?: NodeId): void
}

export const STATUSES: readonly Status[] = ['alive', 'suspect', 'failed', 'left', 'away', 'overdue']
const REAPED = 0x80
const MISSING = 0x40
const FLAGS = REAPED | MISSING
const NO_DOUBTS: ReadonlyMap<NodeId, Doubt> = new Map()

/** Asked for with every event of a member, so it is worked out once. */
const unpacked = new WeakMap<Uint8Array, Coordinate | undefined>()
function unpackedOf(packed: Uint8Array): Coordinate | undefined {
  if (!unpacked.has(packed)) unpacked.set(packed, unpackCoordinate(packed))
  return unpacked.get(packed)
}

/** What is only known of few members at a time. */
interface Rare {
  rtt: number | undefined
  coordinate: Coordinate | undefined
  doubts: Map<NodeId, Doubt> | undefined
  failsAt: number
  toldAt: number
}

/**
 * The members. In a fleet of ten thousand nearly all of them are calm, and of those no more is held than 17 bytes by slot. A `Member` is
 * a handle that is made when asked for: two of them are of the same member when their slots are.
 */
export interface Members {
  readonly size: number
  has(node: NodeId): boolean
  get(node: NodeId): Member | undefined
  add(node: NodeId, now: Millis): Member
  delete(member: Member): void
  values(): IterableIterator<Member>
  having(...statuses: readonly Status[]): IterableIterator<Member>
  count(status: Status): number
  /** Begins with the members of another that shares the atlas. */
  copy(other: Members): void
  readonly columns: Pick<Columns, 'marks' | 'since' | 'heardAt'>
}

interface Columns {
  readonly table: Table
  /** 0 for nobody, else 1 and the index of the status, and whether it was reaped or is missing. */
  marks: Uint8Array
  since: Float64Array
  heardAt: Float64Array
  readonly rare: Map<number, Rare>
  readonly counts: number[]
}

const statusAt = ({ marks }: Columns, slot: number): number => (marks[slot]! & ~FLAGS) - 1
function rarely({ rare }: Columns, slot: number): Rare {
  let known = rare.get(slot)
  if (known === undefined) {
    known = { rtt: undefined, coordinate: undefined, doubts: undefined, failsAt: Number.POSITIVE_INFINITY, toldAt: 0 }
    rare.set(slot, known)
  }
  return known
}

class Handle implements Member {
  readonly id: NodeId
  readonly slot: number
  readonly #of: Columns
  constructor(of: Columns, { node, slot }: Seat) {
    this.#of = of
    this.id = node
    this.slot = slot
  }
  get entry(): Entry {
    return this.#of.table.entries.at(this.slot)!
  }
  get status(): Status {
    return STATUSES[statusAt(this.#of, this.slot)]!
  }
  set status(status) {
    const { marks, counts } = this.#of
    const index = STATUSES.indexOf(status)
    counts[statusAt(this.#of, this.slot)]! -= 1
    counts[index]! += 1
    marks[this.slot] = (marks[this.slot]! & FLAGS) | (index + 1)
  }
  get since(): Millis {
    return this.#of.since[this.slot] as Millis
  }
  set since(at) {
    this.#of.since[this.slot] = at
  }
  get heardAt(): Millis {
    return this.#of.heardAt[this.slot] as Millis
  }
  set heardAt(at) {
    this.#of.heardAt[this.slot] = at
  }
  get reaped(): boolean {
    return (this.#of.marks[this.slot]! & REAPED) !== 0
  }
  set reaped(reaped) {
    if (reaped) this.#of.marks[this.slot]! |= REAPED
    else this.#of.marks[this.slot]! &= ~REAPED
  }
  get missing(): boolean {
    return (this.#of.marks[this.slot]! & MISSING) !== 0
  }
  set missing(missing) {
    if (missing) this.#of.marks[this.slot]! |= MISSING
    else this.#of.marks[this.slot]! &= ~MISSING
  }
  get coordinate(): Coordinate | undefined {
    const said = this.entry.vitals?.body.coordinate
    return this.#of.rare.get(this.slot)?.coordinate ?? (said === undefined ? undefined : unpackedOf(said))
  }
  set coordinate(coordinate) {
    if (coordinate !== undefined || this.#of.rare.has(this.slot)) rarely(this.#of, this.slot).coordinate = coordinate
  }
  get rtt(): number | undefined {
    return this.#of.rare.get(this.slot)?.rtt
  }
  set rtt(rtt) {
    rarely(this.#of, this.slot).rtt = rtt
  }
  get failsAt(): number {
    return this.#of.rare.get(this.slot)?.failsAt ?? Number.POSITIVE_INFINITY
  }
  set failsAt(at) {
    if (at !== this.failsAt) rarely(this.#of, this.slot).failsAt = at
  }
  get toldAt(): number {
    return this.#of.rare.get(this.slot)?.toldAt ?? 0
  }
  set toldAt(at) {
    rarely(this.#of, this.slot).toldAt = at
  }
  get doubts(): ReadonlyMap<NodeId, Doubt> {
    return this.#of.rare.get(this.slot)?.doubts ?? NO_DOUBTS
  }
  doubt(observer: NodeId, doubt: Doubt): void {
    const known = rarely(this.#of, this.slot)
    known.doubts ??= new Map()
    known.doubts.set(observer, doubt)
  }
  trust(observer?: NodeId): void {
    const { rare } = this.#of
    const known = rare.get(this.slot)
    if (known?.doubts === undefined) return
    if (observer !== undefined) known.doubts.delete(observer)
    if (observer !== undefined && known.doubts.size > 0) return
    known.doubts = undefined
    known.failsAt = Number.POSITIVE_INFINITY
    if (known.rtt === undefined && known.coordinate === undefined) rare.delete(this.slot)
  }
}

export function createMembers(atlas: Atlas, table: Table): Members {
  const all: Columns = {
    table,
    marks: new Uint8Array(0),
    since: new Float64Array(0),
    heardAt: new Float64Array(0),
    rare: new Map(),
    counts: STATUSES.map(() => 0),
  }
  const { counts } = all
  let size = 0

  const handle = (slot: number): Member => new Handle(all, atlas.seats[slot]!)
  const present = (seat: Seat | undefined): seat is Seat => seat !== undefined && (all.marks[seat.slot] ?? 0) !== 0
  return {
    get size() {
      return size
    },
    columns: all,
    has: node => present(atlas.seatOf(node)),
    get(node) {
      const seat = atlas.seatOf(node)
      return present(seat) ? new Handle(all, seat) : undefined
    },
    add(node, now) {
      const seat = atlas.hold(node)
      all.marks = sized(all.marks, seat.slot)
      all.since = sized(all.since, seat.slot)
      all.heardAt = sized(all.heardAt, seat.slot)
      all.marks[seat.slot] = 1
      all.since[seat.slot] = now
      all.heardAt[seat.slot] = now
      counts[0]! += 1
      size += 1
      return new Handle(all, seat)
    },
    delete({ id, slot }) {
      counts[statusAt(all, slot)]! -= 1
      all.marks[slot] = 0
      all.rare.delete(slot)
      size -= 1
      atlas.release(atlas.seatOf(id)!)
    },
    *values() {
      for (let slot = 0; slot < all.marks.length; slot++) if (all.marks[slot] !== 0) yield handle(slot)
    },
    *having(...statuses) {
      if (statuses.every(status => counts[STATUSES.indexOf(status)] === 0)) return
      const wanted = statuses.map(status => STATUSES.indexOf(status) + 1)
      for (let slot = 0; slot < all.marks.length; slot++)
        if (wanted.includes(all.marks[slot]! & ~FLAGS)) yield handle(slot)
    },
    count: status => counts[STATUSES.indexOf(status)]!,
    copy(other) {
      const { length } = atlas.seats
      all.marks = other.columns.marks.slice(0, length)
      all.since = other.columns.since.slice(0, length)
      all.heardAt = other.columns.heardAt.slice(0, length)
      size = other.size
      for (const [index, status] of STATUSES.entries()) counts[index] = other.count(status)
    },
  }
}

/** A member as people and programs see it. */
export interface MemberView {
  readonly id: NodeId
  readonly name: string
  readonly addresses: readonly Address[]
  readonly status: Status
  readonly class: NodeClass
  readonly zone: string
  readonly group: string
  readonly tags: Readonly<Record<string, string>>
  readonly epoch: number
  readonly version: string
  readonly layers: readonly LayerStatus[]
  readonly health: Health
  readonly reason: string
  readonly taint: readonly string[]
  readonly images: readonly Digest[]
  readonly services: readonly ServiceState[]
  /** Smoothed round trip of probes, milliseconds; null where none was measured. */
  readonly rttMs: number | null
  /** Where it stands in the space of round trips (`rttBetween`); null until it has said so. */
  readonly coordinate: Coordinate | null
  readonly since: Millis
}

/** A service of its record, with what it last said of how that does. */
export type ServiceState = Service & Pick<ServiceVitals, 'health' | 'weight'>

function servicesOf({ record, vitals }: Entry): readonly ServiceState[] {
  const states = new Map(vitals?.body.services?.map(state => [state.name, state]))
  return (record.body.services ?? []).map(service => ({
    health: 'unknown',
    weight: 0,
    ...service,
    ...states.get(service.name),
  }))
}

export function viewOf(member: Member): MemberView {
  const { record, vitals } = member.entry
  return {
    id: member.id,
    name: record.body.name,
    addresses: record.body.addresses,
    status: member.status,
    class: record.body.class,
    zone: record.body.zone,
    group: record.body.group,
    tags: record.body.tags,
    epoch: record.body.epoch,
    version: record.body.version,
    layers: vitals?.body.layers ?? [],
    health: vitals?.body.health ?? 'unknown',
    reason: vitals?.body.reason ?? '',
    taint: vitals?.body.taint ?? [],
    images: vitals?.body.images ?? [],
    services: servicesOf(member.entry),
    rttMs: member.rtt ?? null,
    coordinate: member.coordinate ?? null,
    since: millis(Math.floor(member.since)),
  }
}
