import type { Random } from '../../../protocol/index.ts'
import type { Host } from './types.ts'

/** What the network between the hosts does not let through. */
export interface Weather {
  /** Share of frames, gossip hops and dials that are lost by chance. */
  loss(): number
  /** Kept apart, whoever is up. */
  isCut(from: Host, to: Host): boolean
  isBlocked(from: Host, to: Host): boolean
  /** Blocked, or lost by chance: ask once for each message. */
  lost(from: Host, to: Host): boolean
  /** A cut or a partition is between it and others. */
  isSevered(host: Host): boolean
  cut(from: Host, to: Host): void
  part(sides: readonly (readonly Host[])[]): void
  /** Ends all cuts and partitions, and gives those who were severed. */
  clear(): Host[]
  lose(share: number): void
}

export function createWeather(count: number, random: Random, share: number): Weather {
  let loss = share
  /** Cuts one way, by the ends; and partitions, by the side that each host is on. */
  const blocked = new Set<number>()
  const splits: Int32Array[] = []
  const severed = new Set<Host>()
  const wayKey = (from: Host, to: Host): number => from.index * count + to.index
  const isCut = (from: Host, to: Host): boolean =>
    (blocked.size > 0 && blocked.has(wayKey(from, to))) || splits.some(side => side[from.index] !== side[to.index])
  const isBlocked = (from: Host, to: Host): boolean => !from.powered || !to.powered || to.deaf || isCut(from, to)
  const happens = (share: number): boolean => share > 0 && random.float() < share
  return {
    loss: () => loss,
    isCut,
    isBlocked,
    lost: (from, to) => isBlocked(from, to) || happens(loss) || happens(from.loss.out) || happens(to.loss.in),
    isSevered: host => severed.has(host),
    cut(from, to) {
      blocked.add(wayKey(from, to))
      for (const host of [from, to]) severed.add(host)
    },
    part(sides) {
      const sideOf = new Int32Array(count).fill(-1)
      for (const [index, side] of sides.entries()) for (const host of side) sideOf[host.index] = index
      splits.push(sideOf)
      for (const host of sides.flat()) severed.add(host)
    },
    clear() {
      const all = [...severed]
      severed.clear()
      blocked.clear()
      splits.length = 0
      return all
    },
    lose(share) {
      loss = share
    },
  }
}
