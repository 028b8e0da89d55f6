import {
  createAtlas,
  createMembership,
  decodeGossip,
  lan,
  type Membership,
  type MembershipEffect,
  type MembershipInit,
  type MembershipInput,
} from '../../../membership/index.ts'
import {
  type Address,
  DISMISSAL,
  millis,
  nodeIdOf,
  type PublicKey,
  RECORD,
  seededRandom,
  sha256,
} from '../../../protocol/index.ts'
import { createWheel } from '../wheel.ts'
import { createAgreement } from './agreement.ts'
import { createFloods } from './flood.ts'
import { createStatements } from './statements.ts'
import type { Host, Link, Process, World, WorldOptions } from './types.ts'
import { watch } from './watch.ts'
import { createWeather } from './weather.ts'

const LATENCY = 1
const JITTER = 4
const DIAL_TIMEOUT = 5_000
/** A connection over which nothing comes breaks after this long (TCP's retransmission limit, shortened). */
const BREAKS_AFTER = 15_000
const START = 1_750_000_000_000

export function createWorld(options: WorldOptions): World {
  const random = seededRandom(options.seed)
  const profile = options.profile ?? lan()
  const links = new Map<number, Link>()
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
  const pairKey = (a: Host, b: Host): number => Math.min(a.index, b.index) * hosts.length + Math.max(a.index, b.index)
  const weather = createWeather(hosts.length, random, options.loss ?? 0)
  const { isBlocked, isCut, lost } = weather
  const disturb = (...which: Host[]): void => {
    for (const host of which) host.disturbedAt = now
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
  const breakSoon = (link: Link): void => {
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
  const { signer, believed } = createStatements(options, byId)
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
      case 'twin':
        // Nobody has a copy of another's key here.
        violations.push(`${host.index} took what it had said itself for a twin's`)
        return
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
    // Who has long been there has written down whom it knows; but read now, ten thousand times ten thousand would be looked up for nothing.
    const known = hosts.map(host => [host.id, [host.address]] as const)
    for (const host of hosts) {
      host.disk.peers = known.slice(0, 2)
      host.process = boot(host, first)
      host.disk.peers = known
    }
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

  const watchEvent = watch({
    hosts,
    profile,
    weather,
    violations,
    start: START,
    now: () => now,
    later,
    onEvent: options.onEvent,
  })
  const agreement = createAgreement(hosts, weather.loss)

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
      weather.cut(from, to)
      const link = linkOf(from, to)
      if (link !== undefined) breakSoon(link)
    },
    partition(sides) {
      weather.part(sides)
      for (const link of links.values()) if (isCut(link.ends[0].host, link.ends[1].host)) breakSoon(link)
    },
    heal() {
      disturb(...weather.clear())
    },
    deafen(host, deaf) {
      disturb(host)
      host.deaf = deaf
      if (deaf) for (const link of host.process?.links ?? []) breakSoon(link)
    },
    lose(share) {
      disturb(...hosts)
      weather.lose(share)
    },
    ...agreement,
  }
  return world
}

const isVitals = (message: Uint8Array): boolean => decodeGossip(message)[0] === 'vitals'

/** Starts all hosts, a little apart, and waits until they agree. Returns how long that took after the last start. */
export function assemble(world: World): number {
  for (const host of world.hosts) {
    world.start(host)
    world.run(20)
  }
  return world.until('assembled', world.agreed, 300_000)
}
