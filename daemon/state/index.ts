// The data directory: identity, start counter and small durable values, for one daemon at a time.
// What is written here is on disk before anybody is told so; nothing is ever made up for what is missing or damaged.
// It knows no network and gives no meaning to what it keeps.
export { type DataDir, openDataDir } from './data-dir.ts'
export type { Database } from './database.ts'
export { diskError } from './disk-error.ts'
export { syncDirectory, writeDurably } from './durable.ts'
export { identify, isAlive, type ProcessIdentity } from './process-identity.ts'
export type { FleetState, Stores } from './stores.ts'
