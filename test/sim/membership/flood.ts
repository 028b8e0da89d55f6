import { decodeGossip, type GossipKind, type Heard, type MembershipInput } from '../../../membership/index.ts'
import { sha256 } from '../../../protocol/index.ts'
import type { Host, Link, Process } from './types.ts'

/** gossipsub remembers for so long what it has seen (seenTTL). Milliseconds. */
const SEEN_FOR = 120_000

/** One message on its way through the fleet. */
interface Flood {
  readonly message: Uint8Array
  readonly item: readonly [GossipKind, Uint8Array]
  /** A bit for each host that has it. */
  readonly seen: Uint32Array
  /** Copies under way by the time of their arrival: link and end, one after the other. */
  readonly copies: Map<number, (Link | 0 | 1)[]>
}

export interface FloodsInit {
  readonly hosts: number
  readonly now: () => number
  later(at: number, run: () => void): void
  readonly delay: () => number
  readonly lost: (from: Host, to: Host) => boolean
  readonly isOpen: (link: Link) => boolean
  /** What a host makes of a message; undefined when it does not believe it. */
  readonly believed: (host: Host, kind: GossipKind, bytes: Uint8Array) => Heard | undefined
  copied(bytes: number): void
  tell(to: Process, input: MembershipInput): void
}

/** Gossip: every message goes once over every link, until it is no news where it comes. */
export interface Floods {
  begin(from: Process, message: Uint8Array): void
  /** Its daemon is started anew and has seen nothing. */
  forget(host: Host): void
}

/**
 * All copies of a message that arrive in one millisecond are one event, so that a message costs one event for each millisecond
 * of its way and not one for each of its copies. Each copy still has its own delay and loss, and each node decides by itself.
 */
export function createFloods(init: FloodsInit): Floods {
  const floods = new Map<string, Flood>()
  const isSeen = ({ seen }: Flood, { index }: Host): boolean => (seen[index >>> 5]! & (1 << (index & 31))) !== 0
  const mark = ({ seen }: Flood, { index }: Host): void => {
    seen[index >>> 5]! |= 1 << (index & 31)
  }

  const send = (flood: Flood, from: Process, except: Host | undefined): void => {
    const now = init.now()
    for (const link of from.links) {
      const side = link.ends[0] === from ? 0 : 1
      const end = side === 0 ? 1 : 0
      const { host } = link.ends[end]
      if (host === except) continue
      init.copied(flood.message.byteLength)
      // It would be thrown away on arrival.
      if (isSeen(flood, host) || init.lost(from.host, host)) continue
      const at = Math.max(now + init.delay(), link.lastAt[side])
      link.lastAt[side] = at
      expect(flood, at, link, end)
    }
  }
  const expect = (flood: Flood, at: number, link: Link, end: 0 | 1): void => {
    let copies = flood.copies.get(at)
    if (copies === undefined) {
      copies = []
      flood.copies.set(at, copies)
      init.later(at, () => arrive(flood, at))
    }
    copies.push(link, end)
  }
  const arrive = (flood: Flood, at: number): void => {
    const copies = flood.copies.get(at)!
    flood.copies.delete(at)
    for (let index = 0; index < copies.length; index += 2) {
      const link = copies[index] as Link
      const end = copies[index + 1] as 0 | 1
      const process = link.ends[end]
      if (isSeen(flood, process.host) || !init.isOpen(link)) continue
      // Who stands still reads it when he goes on, and passes nothing on before.
      if (at < process.pausedUntil) {
        expect(flood, process.pausedUntil, link, end)
        continue
      }
      const heard = init.believed(process.host, ...flood.item)
      if (heard === undefined) continue
      mark(flood, process.host)
      const news = process.machine.news(heard)
      init.tell(process, { type: 'gossip', heard })
      if (news && process.host.process === process) send(flood, process, link.ends[end === 0 ? 1 : 0].host)
    }
  }

  return {
    begin(from, message) {
      const id = sha256(message)
      let flood = floods.get(id)
      if (flood === undefined) {
        const seen = new Uint32Array(Math.ceil(init.hosts / 32))
        flood = { message, item: decodeGossip(message), seen, copies: new Map() }
        floods.set(id, flood)
        init.later(init.now() + SEEN_FOR, () => floods.delete(id))
      }
      mark(flood, from.host)
      send(flood, from, undefined)
    },
    forget(host) {
      for (const { seen } of floods.values()) seen[host.index >>> 5]! &= ~(1 << (host.index & 31))
    },
  }
}
