import type { Pacer } from '../../../daemon/images/pacer.ts'
import { createThrottle, type ThrottleLimits } from '../../../daemon/images/throttle.ts'
import { millis } from '../../../protocol/index.ts'
import { createPurse } from '../../../rollout/index.ts'

/** A throttle with these limits; every peer is of zone `far`, this node of zone `near`. */
export const throttled = (limits: () => ThrottleLimits) =>
  createThrottle({
    zone: () => 'near',
    zoneOf: () => 'far',
    limits,
    purse: createPurse(),
    now: () => millis(Date.now()),
  })

/** Lets everything pass. */
export const unthrottled = throttled(() => ({ zones: {}, budget: undefined }))

/** For a link that is fast: senders need no leave. */
export const unpaced: Pacer = {
  free: true,
  lane: () => ({ take: async () => 0, came() {}, settled() {} }),
  heard() {},
}
