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
