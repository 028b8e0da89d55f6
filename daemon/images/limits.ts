import type { Logger } from 'pino'
import * as z from 'zod'
import { decode, encode, type Millis, type NodeId } from '../../protocol/index.ts'
import { type ByteBudget, createPurse, type Purse, type Spending } from '../../rollout/index.ts'
import type { Database } from '../state/index.ts'
import { createThrottle, type Throttle } from './throttle.ts'

/** Of the configuration: what chunks may take on the network. Bytes a second. */
export interface TrafficLimits {
  readonly uploadLimit?: number | undefined
  readonly downloadLimit?: number | undefined
  readonly zoneUploadLimit: Readonly<Record<string, number>>
  readonly zoneDownloadLimit: Readonly<Record<string, number>>
  readonly zoneBudget?: ByteBudget | undefined
}

/** The throttles of both directions, with one budget. */
export interface Throttles {
  readonly up: Throttle
  readonly down: Throttle
}

/** Where it is remembered what was spent. */
const KEY = 'zone-budget'
/** What is written down as spent before it is: a crash costs at most so much of a budget, and never gives any of it twice. */
const AHEAD = 1 / 64

const spendingSchema = z.tuple([z.number().int(), z.number().int().min(0)])

export async function createThrottles(init: {
  readonly db: Pick<Database, 'get' | 'put'>
  /** Asked each time: a change counts at once. */
  readonly limits: () => TrafficLimits
  readonly zone: () => string
  readonly zoneOf: (peer: NodeId) => string
  readonly now: () => Millis
  readonly log: Logger
}): Promise<Throttles> {
  const { zone, zoneOf, now } = init
  const bytes = await init.db.get(KEY)
  const purse = remembered(bytes === undefined ? undefined : spendingOf(bytes), init)
  const both = { zone, zoneOf, now, purse }
  return {
    up: createThrottle({
      ...both,
      limits() {
        const { uploadLimit, zoneUploadLimit, zoneBudget } = init.limits()
        return { total: uploadLimit, zones: zoneUploadLimit, budget: zoneBudget }
      },
    }),
    down: createThrottle({
      ...both,
      limits() {
        const { downloadLimit, zoneDownloadLimit, zoneBudget } = init.limits()
        return { total: downloadLimit, zones: zoneDownloadLimit, budget: zoneBudget }
      },
    }),
  }
}

function spendingOf(value: Uint8Array): Spending {
  const [window, bytes] = spendingSchema.parse(decode(value, 256))
  return { window, bytes }
}

/** A purse whose spending is on the disk, a little more of it than there was. */
function remembered(
  before: Spending | undefined,
  { db, limits, log }: { db: Pick<Database, 'put'>; limits: () => TrafficLimits; log: Logger },
): Purse {
  const purse = createPurse(before)
  let written: Spending = before ?? { window: -1, bytes: 0 }
  return {
    ...purse,
    spend(bytes) {
      purse.spend(bytes)
      const budget = limits().zoneBudget
      const spent = purse.spent()
      if (budget === undefined || (spent.window === written.window && spent.bytes <= written.bytes)) return
      written = { window: spent.window, bytes: Math.ceil(spent.bytes + budget.bytes * AHEAD) }
      db.put(KEY, encode([written.window, written.bytes])).catch(error =>
        log.error({ err: error }, 'what was spent of --zone-budget could not be written down'),
      )
    },
  }
}
