// The local API under /v1: what can be asked, what goes in and what comes out, in one table of routes.
// The daemon checks requests with these schemas; fleetctl takes only their types, because it must start fast.

export type * from './audit.ts'
export type * from './checkup.ts'
export type * from './events.ts'
export type * from './evidence.ts'
export { toDocument } from './fields.ts'
export type * from './fleet.ts'
export { readinessSchema } from './fleet.ts'
export type * from './images.ts'
export {
  type Divergence,
  type Hotfixes,
  type Kept,
  type KeptLayer,
  type KeptView,
  keptOf,
  type MarkView,
} from './keep.ts'
export { describeKeyFile, formatKeyFile, parseKeyFile } from './key-file.ts'
export * from './problem.ts'
export type * from './queries.ts'
export type * from './rollouts.ts'
export * from './routes.ts'
export type * from './services.ts'
