import { type Millis, millis, type NodeId } from '../protocol/index.ts'
import { MAX_SERIAL } from './detector.ts'
import type { Profile } from './profiles.ts'

/** Probes for others under way at once; more are refused. Bounds what neighbours can make us keep. */
const MAX_RELAYS = 256

interface Relayed {
  readonly asker: NodeId
  readonly serial: number
  readonly subject: NodeId
  readonly until: Millis
}

/** Probes that this node makes for others. */
export interface Relays {
  /** The serial to probe the subject with; undefined when too many are under way. */
  begin(now: Millis, asker: NodeId, serial: number, subject: NodeId): number | undefined
  /** Whom the answer is for; undefined when the serial is not of a probe for others. */
  answered(serial: number, from: NodeId): { asker: NodeId; serial: number } | undefined
  /** Those that were not answered in time. */
  expired(now: Millis): Relayed[]
  nextAt(): number
}

export function createRelays(profile: Profile): Relays {
  const relays = new Map<number, Relayed>()
  let last = 0
  return {
    begin(now, asker, serial, subject) {
      if (relays.size >= MAX_RELAYS) return undefined
      last = (last + 1) % MAX_SERIAL
      // Told early enough for the asker to hear it before it gives up: a bad word in time clears the asker itself.
      const until = millis(now + 0.8 * profile.probeTimeout)
      relays.set(MAX_SERIAL + last, { asker, serial, subject, until })
      return MAX_SERIAL + last
    },
    answered(serial, from) {
      const relay = relays.get(serial)
      if (relay?.subject !== from) return undefined
      relays.delete(serial)
      return relay
    },
    expired(now) {
      const late: Relayed[] = []
      // Insertion order is order of time.
      for (const [serial, relay] of relays) {
        if (now < relay.until) break
        relays.delete(serial)
        late.push(relay)
      }
      return late
    },
    nextAt() {
      for (const { until } of relays.values()) return until
      return Number.POSITIVE_INFINITY
    },
  }
}
