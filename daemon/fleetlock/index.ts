// FleetLock, the protocol in which Zincati and its like ask for leave to restart a host: two questions over HTTP on loopback, answered by the
// permits of the group's ledger. It decides nothing and keeps nothing.

export { createFleetLock, type FleetLock } from './fleetlock.ts'
