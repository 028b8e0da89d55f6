import { type Bucket, createBucket } from '../../membership/index.ts'
import type { Millis } from '../../protocol/index.ts'
import { askerOf } from '../asker.ts'
import { isLoopback } from '../network/address.ts'

export interface AskersInit {
  /** Questions a second of one asker, and at once. */
  readonly each: { readonly perSecond: number; readonly burst: number }
  /** The same of all together. */
  readonly all: { readonly perSecond: number; readonly burst: number }
  /** How many askers are told apart. Beyond that the one that has been silent for the longest is forgotten, and begins anew. */
  readonly most: number
}

/**
 * Who may ask how often: no asker has more than its share, so that one that asks without end is not what keeps the others from an answer. Loopback has a share like all together:
 * the resolver that asks there asks for a whole host, and who is on the host can take more from this daemon than answers.
 */
export function createAskers({ each, all, most }: AskersInit): { take(now: Millis, address: string): boolean } {
  const total = createBucket(all.perSecond, all.burst)
  const buckets = new Map<string, Bucket>()

  const bucketOf = (asker: string): Bucket => {
    const found = buckets.get(asker) ?? createBucket(each.perSecond, each.burst)
    // A Map keeps the order in which its keys came: what is put in anew is the youngest, so the first is the one to forget.
    buckets.delete(asker)
    buckets.set(asker, found)
    if (buckets.size > most) buckets.delete(buckets.keys().next().value!)
    return found
  }

  return {
    take(now, address) {
      // Who is over its own share takes nothing from that of all.
      if (!isLoopback(address) && !bucketOf(askerOf(address)).take(now, 1)) return false
      return total.take(now, 1)
    },
  }
}
