// The parts of a daemon, put together: each file makes one group of them out of what was made before it. What is decided
// and what is done is elsewhere; here is only who is given whom. daemon/fleetd.ts makes a daemon of them.
export { type Doors, openDoors } from './doors.ts'
export { createGround } from './ground.ts'
export { createHoldings } from './holdings.ts'
export { createLayers, type Layers, type StopRequest } from './layers.ts'
export { createGroupLedgers } from './ledgers.ts'
export { createStanding } from './standing.ts'
export { tendVoters } from './voters.ts'
