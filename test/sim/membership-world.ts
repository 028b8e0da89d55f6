import {
  createAtlas,
  createMembership,
  decodeGossip,
  type GossipKind,
  type Heard,
  lan,
  type MemberEvent,
  type Membership,
  type MembershipEffect,
  type MembershipInit,
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
  VITALS,
} from '../../protocol/index.ts'
import { createFloods } from './flood.ts'
import { createWheel } from './wheel.ts'

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
  /**
   * Vitals of steady members say how a host is, and nothing of whether it is there. `synced`: they go to neighbours by anti-entropy and are
   * not gossiped; `never`: they are not said.
   */
  readonly vitals?: 'gossiped' | 'synced' | 'never'
  /** Called whenever a host tells of a member. */
  readonly onEvent?: (host: Host, of: Host, event: MemberEvent) => void
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
  /** When it was last tampered with, or a link of it was cut or mended: judged by M2 only once it has had time to recover. */
  disturbedAt: number
  /** Nothing gets through to it, though what it says gets out. */
  deaf: boolean
  /** Share of what it is sent, and of what it sends, that is lost besides what is lost everywhere. */
  readonly loss: { in: number; out: number }
}

export interface Process {
  readonly host: Host
  readonly machine: Membership
  readonly links: Set<Link>
  /** Whom it holds for failed, and since when M2 could be asked about that. */
  readonly failed: Map<Host, number>
  wake: number
  pausedUntil: number
  held: MembershipInput[]
  /** Those that were pruned and that it lists no more. */
  readonly dropped: Set<Host>
}

export interface Link {
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
  /** Frames of links with their bytes, and copies of gossip with theirs. */
  readonly sent: { frames: number; bytes: number; gossip: number; gossipBytes: number }
  run(milliseconds: number): void
  /** Runs until it holds; throws with the seed when it does not in time. Returns how long it took. */
  until(what: string, holds: () => boolean, within: number): number
  start(host: Host): void
  /** Starts all hosts as a fleet that has long been assembled. */
  startTogether(): void
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
  /** Nothing gets through to it any more, or does again. What it sends still gets out, until its connections break for want of answers. */
  deafen(host: Host, deaf: boolean): void
  /** From now on this share of frames, gossip hops and dials is lost by chance. */
  lose(share: number): void
  view(host: Host, of: Host): MemberView | undefined
  running(): Host[]
  /** Everybody who runs agrees on everybody, and those who run are alive to all: M1. */
  agreed(): boolean
  /** Says what does not agree, and no more of it than asked for. */
  disagreements(most?: number): string[]
}

export function createWorld(options: WorldOptions): World {
  const random = seededRandom(options.seed)
  const profile = options.profile ?? lan()
  let loss = options.loss ?? 0
  /** By their bytes. */
  const said = new Map<string, Heard>()
  const links = new Map<number, Link>()
  /** Cuts one way, by the ends; and partitions, by the side that each host is on. */
  const blocked = new Set<number>()
  const splits: Int32Array[] = []
  const severed = new Set<Host>()
  const violations: string[] = []
  const sent = { frames: 0, bytes: 0, gossip: 0, gossipBytes: 0 }
  const queue = createWheel(START)
  const atlas = createAtlas({ shared: true })
  let now = START

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
    deaf: false,
    loss: { in: 0, out: 0 },
  }))
  const byId = new Map(hosts.map(host => [host.id, host]))
  const byAddress = new Map(hosts.map(host => [host.address as string, host]))

  const later = (delay: number, run: () => void): void => queue.add(now + delay, run)
  const delay = (): number => LATENCY + random.int(JITTER)
  const wayKey = (from: Host, to: Host): number => from.index * hosts.length + to.index
  const pairKey = (a: Host, b: Host): number => (a.index < b.index ? wayKey(a, b) : wayKey(b, a))
  const isCut = (from: Host, to: Host): boolean =>
    (blocked.size > 0 && blocked.has(wayKey(from, to))) || splits.some(side => side[from.index] !== side[to.index])
  const isBlocked = (from: Host, to: Host): boolean => !from.powered || !to.powered || to.deaf || isCut(from, to)
  const happens = (share: number): boolean => share > 0 && random.float() < share
  const lost = (from: Host, to: Host): boolean =>
    isBlocked(from, to) || happens(loss) || happens(from.loss.out) || happens(to.loss.in)
  const disturb = (...which: Host[]): void => {
    for (const host of which) host.disturbedAt = now
  }

  // ---- statements: as good as signed, because only `sign` can make them ----

  const signer =
    (host: Host, clock: () => number) =>
    <T>(kind: StatementKind<T>, content: T): Statement<T> => {
      // Of nobody who is a member, so that its own table has no use for them.
      const unsaid = options.vitals === 'never' && kind.domain === VITALS.domain && host.class !== 'intermittent'
      const body = unsaid ? { ...content, node: '' as NodeId } : content
      const bytes = encode([kind.domain, host.id, clock(), body])
      const text = textOf(bytes)
      const again = said.get(text)
      if (again !== undefined && again.kind !== 'document') return again.statement as unknown as Statement<T>
      const statement: Statement<T> = {
        bytes,
        id: sha256(bytes),
        domain: kind.domain,
        fleet: '' as FleetId | '',
        clock: millis(clock()),
        signers: [],
        body,
      }
      const tag = kind.domain.split('/')[1]
      if (tag === 'record' || tag === 'vitals') said.set(text, { kind: tag, statement } as unknown as Heard)
      else if (tag === 'dismissal') {
        said.set(text, { kind: tag, statement } as unknown as Heard)
        notePruning(body as Dismissal)
      } else said.set(text, { kind: 'suspicion', statement, observer: host.id } as unknown as Heard)
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
  /** A message of gossip comes to every host, and is looked up once. */
  const found = new WeakMap<Uint8Array, Heard>()
  const saidIn = (bytes: Uint8Array): Heard | undefined => {
    let heard = found.get(bytes)
    if (heard !== undefined) return heard
    heard = said.get(textOf(bytes))
    if (heard !== undefined) found.set(bytes, heard)
    return heard
  }
  const believed = (host: Host, kind: GossipKind, bytes: Uint8Array): Heard | undefined => {
    const heard = kind === 'document' ? { kind, bytes } : saidIn(bytes)
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
  const isOpen = (link: Link): boolean => link.ends[0].links.has(link)
  const close = (link: Link): void => {
    const [a, b] = link.ends
    links.delete(pairKey(a.host, b.host))
    a.links.delete(link)
    b.links.delete(link)
  }
  const tell = (process: Process, input: MembershipInput): void => {
    if (process.host.process !== process) return
    if (now < process.pausedUntil) process.held.push(input)
    else step(process, input)
  }
  const breakLink = (link: Link, except?: Process): void => {
    if (!isOpen(link)) return
    const [a, b] = link.ends
    close(link)
    for (const [end, other] of [[a, b] as const, [b, a] as const]) {
      if (end === except) continue
      later(delay(), () => tell(end, { type: 'linkDown', peer: other.host.id }))
    }
  }
  const open = (from: Process, to: Process): void => {
    const link: Link = { ends: [from, to], lastAt: [now, now] }
    links.set(pairKey(from.host, to.host), link)
    from.links.add(link)
    to.links.add(link)
    tell(to, { type: 'linkUp', peer: from.host.id })
    tell(from, { type: 'linkUp', peer: to.host.id })
  }
  /** A new connection takes the place of one whose other end is gone: that is told before the new one. */
  const replaceLink = (link: Link): void => {
    const [a, b] = link.ends
    close(link)
    tell(a, { type: 'linkDown', peer: b.host.id })
    tell(b, { type: 'linkDown', peer: a.host.id })
  }
  const watch = (link: Link): void => {
    later(BREAKS_AFTER, () => {
      const [a, b] = link.ends
      if (!isOpen(link)) return
      if (isBlocked(a.host, b.host) || isBlocked(b.host, a.host)) breakLink(link)
    })
  }
  const deliver = (from: Process, to: Host, input: MembershipInput): void => {
    const link = linkOf(from.host, to)
    if (link === undefined || lost(from.host, to)) return
    const side = link.ends[0] === from ? 0 : 1
    const at = Math.max(now + delay(), link.lastAt[side])
    link.lastAt[side] = at
    queue.add(at, () => {
      if (isOpen(link)) tell(link.ends[side === 0 ? 1 : 0], input)
    })
  }
  const floods = createFloods({
    hosts: hosts.length,
    now: () => now,
    later: (at, run) => queue.add(at, run),
    delay,
    lost,
    isOpen,
    believed,
    copied(bytes) {
      sent.gossip += 1
      sent.gossipBytes += bytes
    },
    tell,
  })
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
      open(from, process)
    })
  }

  /** Of a host that is up the kernel answers, though its process be paused; of several tries one has to get through, both ways. */
  const knock = (from: Process, { peer, addresses, timeout }: Extract<MembershipEffect, { type: 'knock' }>): void => {
    const target = addresses.map(address => byAddress.get(address)).find(host => host !== undefined)
    const through = (): boolean => target !== undefined && !lost(from.host, target) && !lost(target, from.host)
    const tries = [0, 1, 2, 3].map(through)
    const first = tries.indexOf(true)
    const after = first < 0 ? timeout : (first * timeout) / tries.length + 2 * delay()
    later(after, () => {
      const answer = first < 0 ? 'none' : target!.process === undefined ? 'refused' : 'open'
      tell(from, { type: 'knocked', peer, answer })
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
        sent.frames += 1
        sent.bytes += effect.frame.byteLength
        return deliver(process, byId.get(effect.peer)!, { type: 'frame', peer: host.id, frame: effect.frame })
      case 'publish':
        if (options.vitals === 'synced' && host.class !== 'intermittent' && isVitals(effect.message)) return
        return floods.begin(process, effect.message)
      case 'connect':
        return dial(process, effect)
      case 'knock':
        return knock(process, effect)
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
        return watchEvent(process, byId.get(effect.member.id)!, effect.event)
      case 'document':
        return
      default:
        return effect satisfies never
    }
  }
  const boot = (host: Host, like?: Membership): Process => {
    const init: MembershipInit = {
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
      atlas,
    }
    return {
      host,
      machine: createMembership(init, like),
      links: new Set(),
      failed: new Map(),
      wake: 0,
      pausedUntil: 0,
      held: [],
      dropped: new Set(),
    }
  }
  const start = (host: Host): void => {
    disturb(host)
    host.powered = true
    host.left = false
    host.pruned = false
    if (options.fault !== 'epoch-not-persisted') host.disk.epoch += 1
    const process = boot(host)
    host.process = process
    floods.forget(host)
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
  /** As if they had all found each other: one machine hears of everybody, and the others are made like it and linked. */
  const startTogether = (): void => {
    for (const host of hosts) host.disk.epoch += 1
    const first = boot(hosts[0]!).machine
    for (const host of hosts) {
      const statement = boot(host).machine.record(host.id)!
      if (host !== hosts[0]) first.step(millis(now), { type: 'gossip', heard: { kind: 'record', statement } })
    }
    // Who has long been there has written down whom it knows.
    const known = hosts.map(host => [host.id, [host.address]] as const)
    for (const host of hosts) host.disk.peers = known
    for (const host of hosts) host.process = boot(host, first)
    for (const { process } of hosts)
      for (const peer of process!.machine.neighbours()) {
        const other = byId.get(peer)!
        if (other.index > process!.host.index) open(process!, other.process!)
      }
    // Whom nobody is linked to yet finds its peers by itself.
    for (const { process } of hosts) if (process!.links.size === 0) step(process!, { type: 'wake', late: 0 })
  }
  const stop = (host: Host, rudely: boolean): void => {
    disturb(host)
    const { process } = host
    host.process = undefined
    if (process === undefined) return
    for (const link of [...process.links]) {
      const other = link.ends[0] === process ? link.ends[1] : link.ends[0]
      if (rudely && !isBlocked(host, other.host)) breakLink(link, process)
      else later(BREAKS_AFTER, () => breakLink(link, process))
    }
  }

  // ---- what is watched all the time ----

  const RECOVERS_IN = 20_000 + profile.redialLast
  // Set when the loss changes.
  let refutedIn = refutationTime(profile, loss)
  /** Machines whose own invariants are looked at in one inspection; in turn. */
  const EXAMINED = 16
  let examined = 0
  const watchEvent = ({ host, failed }: Process, other: Host, event: MemberEvent): void => {
    if (event === 'failed') failed.set(other, now)
    else failed.delete(other)
    options.onEvent?.(host, other, event)
  }
  const examine = (host: Host): void => {
    for (const broken of host.process?.machine.invariants() ?? [])
      violations.push(`at ${now - START}: ${host.index}: ${broken}`)
  }
  /** Nothing was done to it, or to its links, that it has not had the time to get over. */
  const calm = (host: Host): boolean =>
    !severed.has(host) && !host.deaf && host.loss.in + host.loss.out === 0 && now - host.disturbedAt > RECOVERS_IN
  const inspect = (): void => {
    const revoked = hosts.filter(host => host.revoked)
    const pruned = hosts.filter(host => host.pruned)
    for (const host of hosts) {
      const { process } = host
      if (process === undefined || now < process.pausedUntil || host.revoked) continue
      for (const other of revoked) {
        const status = process.machine.status(other.id)
        if (status !== undefined)
          violations.push(`M3: ${host.index} has ${other.index} as ${status} though it was revoked`)
      }
      for (const other of process.dropped) if (!other.pruned) process.dropped.delete(other)
      for (const other of pruned) {
        const status = process.machine.status(other.id)
        if (status === undefined) process.dropped.add(other)
        else if (process.dropped.has(other))
          violations.push(`M3: ${host.index} has ${other.index} as ${status} again though it was pruned`)
      }
      for (const [other, since] of process.failed) {
        if (!calm(host) || !calm(other) || other.process === undefined || other.revoked) process.failed.set(other, now)
        else if (now - since > refutedIn)
          violations.push(`M2: ${other.index} answers and has been failed at ${host.index} for ${now - since} ms`)
      }
    }
    for (let count = 0; count < Math.min(EXAMINED, hosts.length); count++) examine(hosts[examined++ % hosts.length]!)
    later(1_000, inspect)
  }
  later(1_000, inspect)

  // ---- whether all are of one mind ----

  /** Where they differed last: most likely they still do. */
  let differed: Host | undefined
  const describe = (view: MemberView | undefined): string => {
    if (view === undefined) return 'unknown'
    const { status, epoch, addresses, tags } = view
    // While much is lost somebody is always in question somewhere, and refutes it.
    const settled = loss > 0 && status === 'suspect' ? 'alive' : status
    return `${settled} ${epoch} ${addresses.join()} ${JSON.stringify(tags)}`
  }
  const differs = (other: Host, a: Membership, b: Membership): boolean => {
    if (a.status(other.id) === b.status(other.id) && a.record(other.id) === b.record(other.id)) return false
    return describe(a.member(other.id)) !== describe(b.member(other.id))
  }

  const untrue = (host: Host, other: Host): string | undefined => {
    const seen = describe(world.view(host, other))
    if (other.process !== undefined) {
      const own = describe(world.view(other, other))
      return seen === own ? undefined : `${host.index} has ${other.index} as ${seen}, which says ${own} of itself`
    }
    const taken = (seen.startsWith('alive') || seen.startsWith('suspect')) && other.class !== 'intermittent'
    return taken ? `${host.index} has ${other.index} as ${seen}, which does not run` : undefined
  }

  const world: World = {
    hosts,
    violations,
    sent,
    get now() {
      return now
    },
    run(milliseconds) {
      const end = now + milliseconds
      for (let next = queue.next(end); next !== undefined; next = queue.next(end)) {
        now = Math.max(now, next.at)
        next.run()
      }
      now = end
    },
    until(what, holds, within) {
      const begun = now
      while (!holds()) {
        if (now - begun > within)
          throw new Error(`seed ${options.seed}: not ${what} after ${within} ms: ${world.disagreements(5).join('; ')}`)
        world.run(50)
      }
      return now - begun
    },
    start,
    startTogether,
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
      blocked.add(wayKey(from, to))
      for (const host of [from, to]) severed.add(host)
      const link = linkOf(from, to)
      if (link !== undefined) watch(link)
    },
    partition(sides) {
      const sideOf = new Int32Array(hosts.length).fill(-1)
      for (const [index, side] of sides.entries()) for (const host of side) sideOf[host.index] = index
      splits.push(sideOf)
      for (const host of sides.flat()) severed.add(host)
      for (const link of links.values()) if (isCut(link.ends[0].host, link.ends[1].host)) watch(link)
    },
    heal() {
      disturb(...severed)
      severed.clear()
      blocked.clear()
      splits.length = 0
    },
    deafen(host, deaf) {
      disturb(host)
      host.deaf = deaf
      if (deaf) for (const link of host.process?.links ?? []) watch(link)
    },
    lose(share) {
      disturb(...hosts)
      loss = share
      refutedIn = refutationTime(profile, loss)
    },
    view: (host, of) => host.process?.machine.member(of.id),
    running: () => hosts.filter(host => host.process !== undefined),
    agreed() {
      const running = world.running().filter(host => !host.revoked)
      const first = running[0]?.process?.machine
      if (first === undefined) return true
      const others = hosts.filter(host => !host.revoked)
      if (differed?.process !== undefined && !differed.revoked) {
        const { machine } = differed.process
        if (others.some(other => differs(other, first, machine))) return false
      }
      for (const { process } of running) {
        differed = process!.host
        if (others.some(other => differs(other, first, process!.machine))) return false
      }
      // All see as the first does; what it sees has to be so.
      return others.every(other => untrue(running[0]!, other) === undefined)
    },
    disagreements(most = Number.POSITIVE_INFINITY) {
      const found: string[] = []
      const running = world.running().filter(host => !host.revoked)
      const first = running[0]!
      const others = hosts.filter(host => !host.revoked)
      for (const other of others) {
        const seen = describe(world.view(first, other))
        const wrong = untrue(first, other)
        if (wrong !== undefined) found.push(wrong)
        for (const host of running) {
          if (found.length >= most) return found
          if (!differs(other, first.process!.machine, host.process!.machine)) continue
          const theirs = describe(world.view(host, other))
          found.push(`${host.index} has ${other.index} as ${theirs}, ${first.index} as ${seen}`)
        }
      }
      return found
    },
  }
  return world
}

/** Of so many false failures one may last longer than M2 allows: what is bounded where frames are lost is a chance. */
const ONE_IN = 1_000_000
/**
 * How long a member that answers may be failed at somebody, milliseconds: M2's bound. Where nothing is lost, gossip brings the
 * refutation, or the first sync does. Where it may be lost, syncs are what is certain: a node takes part in two in each
 * syncInterval, one that it begins and one that another does, and one gets through when its four frames do (digest, keys,
 * want, items), with the chance (1 - loss)^4. So many of them that all fail once in ONE_IN:
 *
 *   10 s + ln(1 / ONE_IN) / ln(1 - (1 - loss)^4) * syncInterval / 2
 *
 * With profile local and a loss of 1, 5, 10 and 30 % that is 48, 78, 108 and 393 s. It is no measure of how long it takes, which is
 * most often well under a second: gossip comes by other ways too, and a new doubt brings a new refutation.
 */
export function refutationTime({ syncInterval }: Profile, loss: number): number {
  const through = (1 - loss) ** 4
  const syncs = loss === 0 ? 0 : Math.ceil(Math.log(1 / ONE_IN) / Math.log(1 - through))
  return 10_000 + (syncs * syncInterval) / 2
}

const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')

const isVitals = (message: Uint8Array): boolean => decodeGossip(message)[0] === 'vitals'

/** Starts all hosts, a little apart, and waits until they agree. Returns how long that took after the last start. */
export function assemble(world: World): number {
  for (const host of world.hosts) {
    world.start(host)
    world.run(20)
  }
  return world.until('assembled', world.agreed, 300_000)
}
