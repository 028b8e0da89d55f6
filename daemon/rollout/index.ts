// How this host takes part in rollouts: one replacement machine a layer, the ledgers it reads and votes in, and the plans it knows.
// It decides nothing: the machines of rollout/ do, and this folder carries their effects out.
// It knows the network through `Network` and the members through `MemberLookup`.
export type { LedgerAccess, Proposal } from './access.ts'
export type { Draft } from './draft.ts'
export { createGroups, type Groups } from './groups.ts'
export { createLayer, type Layer } from './layer.ts'
export { lackingOf, lineageOf } from './lineage.ts'
export type { Noting } from './notes.ts'
export { createPlans, type Plans } from './plans.ts'
export { createReboots, type Reboots } from './reboots.ts'
export { assertLost, recoveredAlready, recoveryOf } from './recovery.ts'
export {
  askForConfirmation,
  createRollouts,
  type MemberLookup,
  type Rollouts,
} from './rollouts.ts'
export { createTurns } from './turns.ts'
