import type { Digest, Random } from '../../../protocol/index.ts'
import { V2 } from './fleet.ts'

/** What a seed draws before anything happens. */
export interface Schedule {
  readonly voters: number
  readonly hosts: number
  readonly k: number
  readonly canary: number
  readonly maxFailed: number
  /** Share of messages that are lost while there are faults. */
  readonly loss: number
  /** The group has had no plan before: there is no image to go back to. */
  readonly firstEver: boolean
  /** When the first plan expires, in milliseconds from the beginning; undefined: not before the end. */
  readonly notAfter: number | undefined
  /** One host may be lost for good. */
  readonly losesOne: boolean
  /** A majority of the voters may be lost for good, and the ledger recovered. */
  readonly losesMajority: boolean
  /** Wall clocks are set while there are faults. */
  readonly clocksJump: boolean
  /** How often a host reads the ledger though nobody told it anything; 1 s where it does not matter. */
  readonly readEvery?: number
  /** Whether a host is well with an image. */
  well(image: Digest, host: number): boolean
}

/** `apart`: what came to be drawn later, so that the seeds of before are the schedules of before. */
export function drawSchedule(random: Random, wanted: number | undefined, apart: Random): Schedule {
  const voters = wanted ?? [1, 3, 3, 3, 5, 5, 7][random.int(7)]!
  const hosts = Math.max(3, voters) + random.int(2)
  // Mostly the new image is good; otherwise it is bad everywhere, or on one host.
  const bad = [hosts, hosts, hosts, hosts, -1, random.int(hosts)][random.int(6)]!
  return {
    voters,
    hosts,
    k: 1 + random.int(2),
    canary: random.int(3) === 0 ? 1 : 0,
    maxFailed: 1 + random.int(2),
    loss: [0, 0.02, 0.1, 0.3][random.int(4)]!,
    firstEver: random.int(6) === 0,
    notAfter: random.int(8) === 0 ? 2_000 + 1_000 * random.int(12) : undefined,
    losesOne: voters >= 3 && random.int(6) === 0,
    losesMajority: voters <= 5 && apart.int(5) === 0,
    clocksJump: random.int(3) === 0,
    well: (image, host) => image !== V2 || (bad !== -1 && bad !== host),
  }
}
