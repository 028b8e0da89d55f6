// Images, plans, the ledger and a node's own replacement: everything that brings a host from one image to the next.
// Decisions (ledger, plans, replacement, swarm) are pure machines without clock or socket; images/ alone touches the disk.
// It imports protocol/ and nothing else of ours, and knows neither members nor networks.

export * from './audit/index.ts'
export * from './images/index.ts'
export * from './keep/index.ts'
export * from './ledger/index.ts'
export * from './plans/index.ts'
export * from './pushes/index.ts'
export * from './replacement/index.ts'
export * from './swarm/index.ts'
