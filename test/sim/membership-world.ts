import {
  createMembership,
  decodeGossip,
  type GossipKind,
  type Heard,
  lan,
  type Membership,
  type MembershipEffect,
  type MembershipInput,
  type MemberView,
  type Profile,
} from '../../membership/index.ts'
import {
  type Address,
  DISMISSAL,
  type Dismissal,
  encode,
  type FleetId,
  millis,
  type NodeId,
  type NodeRecord,
  nodeIdOf,
  type PublicKey,
  RECORD,
  type Statement,
  type StatementKind,
  seededRandom,
  sha256,
} from '../../protocol/index.ts'
import { createAgenda } from './heap.ts'

/** A daemon that does not do its part, to show that the checkers notice. */
export type Fault =
  /** Its epoch is the same after every start, and it does not believe what others remember of it. */
  | 'epoch-not-persisted'
  /** It never dials a member that it holds for failed, nor anybody it knew in an earlier life. */
  | 'forgets-the-dead'
  /** It does not tell its machine of revocations. */
  | 'ignores-revocations'
  /** It never hears that it is suspected. */
  | 'never-refutes'
  /** Every second host does not hear of dismissals. */
  | 'ignores-dismissals'
  /** Signatures are not looked at, and somebody speaks for a member that was pruned. */
  | 'believes-forgeries'

export interface WorldOptions {
  readonly seed: number
  readonly nodes: number
  readonly profile?: Profile
  /** Share of frames, gossip hops and dials that are lost. */
  readonly loss?: number
  readonly fault?: Fault
  readonly intermittent?: number
}

export interface Host {
  readonly index: number
  readonly id: NodeId
  address: Address
  readonly class: 'cloud' | 'intermittent'
  /** What survives a crash. */
  readonly disk: { epoch: number; peers: readonly (readonly [NodeId, readonly Address[]])[] }
  process: Process | undefined
  powered: boolean
  revoked: boolean
  left: boolean
  /** Somebody has pruned it as it was last heard, and it has not been started since: it must not come back to who has dropped it. */
  pruned: boolean
  /** Its newest record. */
  said: NodeRecord | undefined
  tags: Record<string, string>
  /** When it was last tampered with: judged by M2 only once it has had time to recover. */
  disturbedAt: number
}

interface Process {
  readonly host: Host
  readonly machine: Membership
  readonly seen: Set<string>
  wake: number
  pausedUntil: number
  held: MembershipInput[]
  frames: number
  /** Those that were pruned and that it lists no more. */
  readonly dropped: Set<Host>
}

interface Link {
  readonly ends: readonly [Process, Process]
  /** Frames keep their order, each way. */
  readonly lastAt: [number, number]
}

const LATENCY = 1
const JITTER = 4
const DIAL_TIMEOUT = 5_000
/** A connection over which nothing comes breaks after this long (TCP's retransmission limit, shortened). */
const BREAKS_AFTER = 15_000
const START = 1_750_000_000_000

/** Hosts with real membership machines on a virtual clock and a seeded network. The same seed gives the same run. */
export interface World {
  readonly hosts: readonly Host[]
  readonly now: number
  /** Sentences about invariants that did not hold at some time: M2, M3 and the machines' own. */
  readonly violations: readonly string[]
  readonly sent: { frames: number; bytes: number; gossip: number }
  run(milliseconds: number): void
  /** Runs until it holds; throws with the seed when it does not in time. Returns how long it took. */
  until(what: string, holds: () => boolean, within: number): number
  start(host: Host): void
  /** kill -9. */
  crash(host: Host): void
  /** The cable is out: no resets, dials time out. */
  powerOff(host: Host): void
  /** SIGSTOP and, later, SIGCONT. */
  pause(host: Host, milliseconds: number): void
  leave(host: Host): void
  /** force-leave, asked of `by`. */
  dismiss(by: Host, host: Host, prune: boolean): void
  /** A member that keeps no rules dismisses one that lives, and everybody hears it. */
  slander(by: Host, host: Host): void
  move(host: Host): void
  revoke(host: Host): void
  retag(host: Host): void
  /** Nothing gets from one to the other; the other way stays open. */
  cut(from: Host, to: Host): void
  partition(sides: readonly (readonly Host[])[]): void
  heal(): void
  view(host: Host, of: Host): MemberView | undefined
  running(): Host[]
  /** Everybody who runs agrees on everybody, and those who run are alive to all: M1. Says what does not. */
  disagreements(): string[]
}

export function createWorld(options: WorldOptions): World {
  const random = seededRandom(options.seed)
  const profile = options.profile ?? lan()
  const loss = options.loss ?? 0
  const said = new Map<string, Heard>()
  const links = new Map<string, Link>()
  const blocked = new Set<string>()
  const violations: string[] = []
  const sent = { frames: 0, bytes: 0, gossip: 0 }
  const failedSince = new Map<string, number>()
  const queue = createAgenda()
  let now = START
  let networkDisturbedAt = START

  const hosts: Host[] = Array.from({ length: options.nodes }, (_, index) => ({
    index,
    id: nodeIdOf(sha256(Buffer.from(`node ${options.seed} ${index}`)) as string as PublicKey),
    address: `/ip4/10.0.0.${index}/tcp/7946` as Address,
    class: index >= options.nodes - (options.intermittent ?? 0) ? ('intermittent' as const) : ('cloud' as const),
    disk: { epoch: 0, peers: [] },
    process: undefined,
    powered: true,
    revoked: false,
    left: false,
    pruned: false,
    said: undefined,
    tags: {},
    disturbedAt: START,
  }))
  const byId = new Map(hosts.map(host => [host.id, host]))
  const byAddress = new Map(hosts.map(host => [host.address as string, host]))

  const later = (delay: number, run: () => void): void => queue.add(now + delay, run)
  const delay = (): number => LATENCY + random.int(JITTER)
  const pairKey = (a: Host, b: Host): string => (a.index < b.index ? `${a.index} ${b.index}` : `${b.index} ${a.index}`)
  const isBlocked = (from: Host, to: Host): boolean =>
    blocked.has(`${from.index} ${to.index}`) || !from.powered || !to.powered
  const lost = (from: Host, to: Host): boolean => isBlocked(from, to) || random.float() < loss
  const disturb = (...which: Host[]): void => {
    for (const host of which) host.disturbedAt = now
  }

  // ---- statements: as good as signed, because only `sign` can make them ----

  const signer =
    (host: Host, clock: () => number) =>
    <T>(kind: StatementKind<T>, body: T): Statement<T> => {
      const bytes = encode([kind.domain, host.id, clock(), body])
      const id = sha256(bytes)
      const statement: Statement<T> = {
        bytes,
        id,
        domain: kind.domain,
        fleet: '' as FleetId | '',
        clock: millis(clock()),
        signers: [],
        body,
      }
      const tag = kind.domain.split('/')[1]
      if (tag === 'record' || tag === 'vitals') said.set(id, { kind: tag, statement } as unknown as Heard)
      else if (tag === 'dismissal') {
        said.set(id, { kind: tag, statement } as unknown as Heard)
        notePruning(body as Dismissal)
      } else said.set(id, { kind: 'suspicion', statement, observer: host.id } as unknown as Heard)
      if (tag === 'record') host.said = body as NodeRecord
      return statement
    }
  /** What the subject said last may not have got to who dismisses it: that is news then, and makes the dismissal void. */
  const notePruning = ({ subject, epoch, seq, presence, prune }: Dismissal): void => {
    const host = byId.get(subject)!
    const { said: last, process } = host
    host.pruned ||=
      prune && process === undefined && last?.epoch === epoch && last.seq === seq && last.presence === presence
  }
  const believed = (host: Host, kind: GossipKind, bytes: Uint8Array): Heard | undefined => {
    const heard = kind === 'document' ? { kind, bytes } : said.get(sha256(bytes))
    if (heard === undefined || heard.kind === 'document') return heard
    const { body } = heard.statement
    const ofItself = ('node' in body ? body.node : body.subject) === host.id
    const saidByOthers = heard.kind === 'suspicion' || heard.kind === 'dismissal'
    const deaf =
      (options.fault === 'epoch-not-persisted' && ofItself) ||
      (options.fault === 'never-refutes' && ofItself && saidByOthers) ||
      (options.fault === 'ignores-dismissals' && heard.kind === 'dismissal' && host.index % 2 === 1)
    return deaf ? undefined : heard
  }

  // ---- links ----

  const linkOf = (a: Host, b: Host): Link | undefined => links.get(pairKey(a, b))
  const tell = (process: Process, input: MembershipInput): void => {
    if (process.host.process !== process) return
    if (now < process.pausedUntil) process.held.push(input)
    else step(process, input)
  }
  const breakLink = (link: Link, except?: Process): void => {
    const [a, b] = link.ends
    if (links.get(pairKey(a.host, b.host)) !== link) return
    links.delete(pairKey(a.host, b.host))
    for (const [end, other] of [[a, b] as const, [b, a] as const]) {
      if (end === except) continue
      later(delay(), () => tell(end, { type: 'linkDown', peer: other.host.id }))
    }
  }
  /** A new connection takes the place of one whose other end is gone: that is told before the new one. */
  const replaceLink = (link: Link): void => {
    const [a, b] = link.ends
    links.delete(pairKey(a.host, b.host))
    tell(a, { type: 'linkDown', peer: b.host.id })
    tell(b, { type: 'linkDown', peer: a.host.id })
  }
  const watch = (link: Link): void => {
    later(BREAKS_AFTER, () => {
      const [a, b] = link.ends
      if (links.get(pairKey(a.host, b.host)) !== link) return
      if (isBlocked(a.host, b.host) || isBlocked(b.host, a.host)) breakLink(link)
    })
  }
  const deliver = (from: Process, to: Host, input: (end: Process) => MembershipInput | undefined): void => {
    const link = linkOf(from.host, to)
    if (link === undefined || lost(from.host, to)) return
    const side = link.ends[0] === from ? 0 : 1
    const at = Math.max(now + delay(), link.lastAt[side])
    link.lastAt[side] = at
    queue.add(at, () => {
      if (links.get(pairKey(from.host, to)) !== link) return
      const end = link.ends[side === 0 ? 1 : 0]
      const given = input(end)
      if (given !== undefined) tell(end, given)
    })
  }
  const flood = (from: Process, message: Uint8Array, except: Host | undefined): void => {
    const id = sha256(message)
    from.seen.add(id)
    for (const peer of from.machine.links()) {
      const to = byId.get(peer)!
      if (to === except) continue
      sent.gossip += 1
      deliver(from, to, end => {
        if (end.seen.has(id)) return undefined
        const heard = believed(end.host, ...decodeGossip(message))
        if (heard === undefined) return undefined
        end.seen.add(id)
        if (end.machine.news(heard)) queue.add(now, () => end.host.process === end && flood(end, message, from.host))
        return { type: 'gossip', heard }
      })
    }
  }
  const dial = (from: Process, effect: Extract<MembershipEffect, { type: 'connect' }>): void => {
    const target = effect.addresses.map(address => byAddress.get(address)).find(host => host !== undefined)
    const fail = (after: number, refused: boolean): void =>
      later(after, () => tell(from, { ...effect, type: 'dialFailed', refused }))
    if (options.fault === 'forgets-the-dead' && target !== undefined) {
      // The address that it was told to join is not called either, once who lives there has failed.
      const status = from.machine.member(target.id)?.status
      if (status === 'failed' || (status === undefined && effect.peer !== undefined)) return fail(1, false)
    }
    if (target === undefined || lost(from.host, target) || isBlocked(target, from.host))
      return fail(DIAL_TIMEOUT, false)
    later(2 * delay(), () => {
      if (from.host.process !== from) return
      const { process } = target
      if (process === undefined) return fail(0, true)
      if (isBlocked(from.host, target) || isBlocked(target, from.host) || now < process.pausedUntil)
        return fail(DIAL_TIMEOUT, false)
      if ((effect.peer !== undefined && target.id !== effect.peer) || target === from.host) return fail(0, false)
      if (options.fault !== 'ignores-revocations' && (target.revoked || from.host.revoked)) return fail(0, false)
      const known = linkOf(from.host, target)
      if (known !== undefined && !(known.ends.includes(process) && known.ends.includes(from))) replaceLink(known)
      else if (known !== undefined) return tell(from, { type: 'linkUp', peer: target.id })
      const link: Link = { ends: [from, process], lastAt: [now, now] }
      links.set(pairKey(from.host, target), link)
      tell(process, { type: 'linkUp', peer: from.host.id })
      tell(from, { type: 'linkUp', peer: target.id })
    })
  }

  // ---- processes ----

  const step = (process: Process, input: MembershipInput): void => {
    for (const effect of process.machine.step(millis(now), input)) perform(process, effect)
  }
  const perform = (process: Process, effect: MembershipEffect): void => {
    const { host } = process
    switch (effect.type) {
      case 'wakeAt': {
        process.wake += 1
        const { wake } = process
        queue.add(effect.at, () => {
          if (process.wake === wake) tell(process, { type: 'wake', late: now - effect.at })
        })
        return
      }
      case 'send':
        process.frames += 1
        sent.frames += 1
        sent.bytes += effect.frame.byteLength
        return deliver(process, byId.get(effect.peer)!, () => ({ type: 'frame', peer: host.id, frame: effect.frame }))
      case 'publish':
        return flood(process, effect.message, undefined)
      case 'connect':
        return dial(process, effect)
      case 'disconnect': {
        const link = linkOf(host, byId.get(effect.peer)!)
        if (link !== undefined) breakLink(link)
        return
      }
      case 'misbehaved':
        violations.push(`${host.index} took a frame of ${byId.get(effect.peer)!.index} for garbage: ${effect.reason}`)
        return
      case 'peers':
        host.disk.peers = effect.peers
        return
      case 'event':
      case 'document':
        return
      default:
        return effect satisfies never
    }
  }
  const start = (host: Host): void => {
    disturb(host)
    host.powered = true
    host.left = false
    host.pruned = false
    if (options.fault !== 'epoch-not-persisted') host.disk.epoch += 1
    const machine = createMembership({
      self: host.id,
      profile,
      random: seededRandom(random.int(0x3fff_ffff)),
      epoch: host.disk.epoch,
      record: {
        name: `n${host.index}`,
        addresses: [host.address],
        class: host.class,
        zone: 'z',
        group: 'g',
        tags: host.tags,
        version: '1',
        certificate: new Uint8Array(),
      },
      now: millis(now),
      sign: signer(host, () => now),
      open: (kind, bytes) => believed(host, kind, bytes),
      peers: host.disk.peers,
    })
    const process: Process = {
      host,
      machine,
      seen: new Set(),
      wake: 0,
      pausedUntil: 0,
      held: [],
      frames: 0,
      dropped: new Set(),
    }
    host.process = process
    step(process, { type: 'wake', late: 0 })
    if (options.fault !== 'ignores-revocations')
      for (const other of hosts) if (other.revoked) step(process, { type: 'revoked', node: other.id })
    // Told to join somebody who is there: who remembers nobody finds nobody else.
    const first =
      hosts.find(other => other !== host && !other.revoked && other.process !== undefined) ??
      hosts.find(other => !other.revoked)
    if (first !== undefined && first !== host && host.disk.peers.length === 0)
      step(process, { type: 'join', peer: undefined, addresses: [first.address] })
  }
  const stop = (host: Host, rudely: boolean): void => {
    disturb(host)
    const { process } = host
    host.process = undefined
    if (process === undefined) return
    for (const link of [...links.values()]) {
      if (!link.ends.includes(process)) continue
      const other = link.ends[0] === process ? link.ends[1] : link.ends[0]
      if (rudely && !isBlocked(host, other.host)) breakLink(link, process)
      else later(BREAKS_AFTER, () => breakLink(link, process))
    }
  }

  // ---- what is watched all the time ----

  const RECOVERS_IN = 20_000 + profile.redialLast
  // Gossip brings a refutation at once; where much is lost, anti-entropy does, and its own frames are lost as well.
  const REFUTED_IN = loss > 0 ? 4 * profile.syncInterval : 10_000
  const inspect = (): void => {
    for (const host of hosts) {
      const { process } = host
      if (process === undefined || now < process.pausedUntil) continue
      for (const broken of process.machine.invariants()) violations.push(`at ${now - START}: ${host.index}: ${broken}`)
      for (const other of hosts) {
        if (other === host) continue
        const status = process.machine.member(other.id)?.status
        if (other.revoked && !host.revoked && status !== undefined)
          violations.push(`M3: ${host.index} has ${other.index} as ${status} though it was revoked`)
        const key = `${host.index} ${other.index}`
        if (!other.pruned) process.dropped.delete(other)
        else if (status === undefined) process.dropped.add(other)
        else if (process.dropped.has(other))
          violations.push(`M3: ${host.index} has ${other.index} as ${status} again though it was pruned`)
        const calm = now - Math.max(host.disturbedAt, other.disturbedAt, networkDisturbedAt) > RECOVERS_IN
        if (
          status !== 'failed' ||
          !calm ||
          other.process === undefined ||
          blocked.size > 0 ||
          other.revoked ||
          host.revoked
        ) {
          failedSince.delete(key)
          continue
        }
        const since = failedSince.get(key) ?? now
        failedSince.set(key, since)
        if (now - since > REFUTED_IN)
          violations.push(`M2: ${other.index} answers and has been failed at ${host.index} for ${now - since} ms`)
      }
    }
    later(1_000, inspect)
  }
  later(1_000, inspect)

  const world: World = {
    hosts,
    violations,
    sent,
    get now() {
      return now
    },
    run(milliseconds) {
      const end = now + milliseconds
      for (let next = queue.peek(); next !== undefined && next <= end; next = queue.peek()) {
        now = Math.max(now, next)
        queue.next()!.run()
      }
      now = end
    },
    until(what, holds, within) {
      const begun = now
      while (!holds()) {
        if (now - begun > within)
          throw new Error(
            `seed ${options.seed}: not ${what} after ${within} ms: ${world.disagreements().slice(0, 5).join('; ')}`,
          )
        world.run(50)
      }
      return now - begun
    },
    start,
    crash: host => stop(host, true),
    powerOff(host) {
      host.powered = false
      stop(host, false)
    },
    pause(host, milliseconds) {
      disturb(host)
      const { process } = host
      if (process === undefined) return
      process.pausedUntil = Math.max(process.pausedUntil, now + milliseconds)
      queue.add(process.pausedUntil, () => {
        if (host.process !== process || now < process.pausedUntil) return
        disturb(host)
        const { held } = process
        process.held = []
        for (const input of held) step(process, input)
      })
    },
    leave(host) {
      const { process } = host
      if (process === undefined) return
      step(process, { type: 'leave' })
      host.left = true
      later(500, () => host.process === process && stop(host, true))
    },
    dismiss(by, host, prune) {
      if (by.process !== undefined) tell(by.process, { type: 'dismiss', node: host.id, prune })
      if (!host.pruned || options.fault !== 'believes-forgeries') return
      const { said: last } = host
      const forged = signer(host, () => now)(RECORD, { ...last!, seq: last!.seq + 1 })
      later(5_000, () => {
        for (const other of world.running())
          tell(other.process!, { type: 'gossip', heard: { kind: 'record', statement: forged } })
      })
    },
    slander(by, host) {
      const { epoch, seq, presence } = host.said!
      const statement = signer(by, () => now)(DISMISSAL, { subject: host.id, epoch, seq, presence, prune: true })
      for (const { process } of hosts)
        if (process !== undefined) tell(process, { type: 'gossip', heard: { kind: 'dismissal', statement } })
    },
    move(host) {
      byAddress.delete(host.address)
      host.address = `/ip4/10.1.${host.index}.${random.int(250)}/tcp/${1024 + random.int(60_000)}` as Address
      byAddress.set(host.address, host)
      disturb(host)
      if (host.process !== undefined) step(host.process, { type: 'record', change: { addresses: [host.address] } })
    },
    revoke(host) {
      host.revoked = true
      if (options.fault === 'ignores-revocations') return
      for (const other of hosts)
        if (other.process !== undefined && other !== host) tell(other.process, { type: 'revoked', node: host.id })
    },
    retag(host) {
      host.tags = { turn: String(random.int(1_000_000)) }
      if (host.process !== undefined) tell(host.process, { type: 'record', change: { tags: host.tags } })
    },
    cut(from, to) {
      networkDisturbedAt = now
      blocked.add(`${from.index} ${to.index}`)
      const link = linkOf(from, to)
      if (link !== undefined) watch(link)
    },
    partition(sides) {
      for (const [index, side] of sides.entries())
        for (const other of sides.slice(index + 1).flat())
          for (const host of side) {
            world.cut(host, other)
            world.cut(other, host)
          }
    },
    heal() {
      networkDisturbedAt = now
      blocked.clear()
    },
    view: (host, of) => host.process?.machine.member(of.id),
    running: () => hosts.filter(host => host.process !== undefined),
    disagreements() {
      const found: string[] = []
      const running = world.running().filter(host => !host.revoked)
      const first = running[0]
      for (const host of running) {
        for (const other of hosts) {
          if (other.revoked) continue
          const seen = describe(world.view(host, other))
          const expected = describe(world.view(first!, other))
          if (seen !== expected)
            found.push(`${host.index} has ${other.index} as ${seen}, ${first!.index} as ${expected}`)
          if (other.process !== undefined) {
            const own = describe(world.view(other, other))
            if (seen !== own) found.push(`${host.index} has ${other.index} as ${seen}, which says ${own} of itself`)
          } else if (seen.startsWith('alive') || seen.startsWith('suspect')) {
            if (other.class !== 'intermittent')
              found.push(`${host.index} has ${other.index} as ${seen}, which does not run`)
          }
        }
      }
      return found
    },
  }
  return world
}

const describe = (view: MemberView | undefined): string =>
  view === undefined ? 'unknown' : `${view.status} ${view.epoch} ${view.addresses.join()} ${JSON.stringify(view.tags)}`

/** Starts all hosts, a little apart, and waits until they agree. Returns how long that took after the last start. */
export function assemble(world: World): number {
  for (const host of world.hosts) {
    world.start(host)
    world.run(20)
  }
  return world.until('assembled', () => world.disagreements().length === 0, 300_000)
}
