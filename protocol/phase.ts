/**
 * Where a generation stands. `idle`: the group has never had a plan. `soaking`: all that may go have gone, and must stay well for a while.
 * The last three are ends, after which a new plan may start.
 */
export const PHASES = [
  'idle',
  'canary',
  'rolling',
  'soaking',
  'paused',
  'reversing',
  'done',
  'rolled-back',
  'aborted',
] as const
export type RolloutPhase = (typeof PHASES)[number]
