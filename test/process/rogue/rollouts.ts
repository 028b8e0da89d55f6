import { createRollouts as createHonestly, type Rollouts, type RolloutsInit } from '../../../daemon/rollout/rollouts.ts'
import { open, PLAN, type Plan, type Statement } from '../../../protocol/index.ts'

// What is exported here by name goes before what comes along with the rest.
export * from '../../../daemon/rollout/rollouts.ts'

/** Milliseconds. */
const PATIENCE = 2_000

/**
 * Takes the place of daemon/rollout/rollouts.ts in a member that sends what it is given to everybody, unread, and proposes what can be proposed of it
 * to the voters.
 */
export function createRollouts(init: RolloutsInit): Rollouts {
  const honest = createHonestly(init)
  return {
    ...honest,
    async submit(bytes, signal) {
      await init.spread({ bytes } as Statement<Plan>)
      try {
        const plan = open(PLAN, init.trust.demand().fleet, bytes)
        // Voters that refuse to read it give no answer that ends the asking.
        const soon = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE)])
        await init.groups.propose(plan.body.group, { type: 'start', plan, now: init.now() }, soon)
      } catch {
        // Nothing that can be proposed, or nobody who takes it.
      }
      return honest.status(init.group(), signal)
    },
    acceptPlan(bytes, before) {
      try {
        return honest.acceptPlan(bytes, before)
      } catch {
        return { bytes } as Statement<Plan>
      }
    },
  }
}
