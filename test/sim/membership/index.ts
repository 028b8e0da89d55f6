// Hosts with real membership machines on a virtual clock and a seeded network, and what is watched of them all the time.
// The same seed gives the same run.
export type { Fault, Host, World, WorldOptions } from './types.ts'
export { assemble, createWorld } from './world.ts'
