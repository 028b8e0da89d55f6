// The image swarm on the network: what this host has is offered chunk by chunk, and what it lacks comes from many at once.
// Which chunk to ask of whom is decided by rollout/swarm; nothing is stored that was not verified first.
// It knows peers only as providers that somebody else names, and which images are wanted only by being asked.

export { createImages, type FetchProgress, type Images } from './images.ts'
export { createThrottles, type Throttles } from './limits.ts'
export { openPins, type Pins } from './pins.ts'
export { createRetention, type KeptFor, type Retention } from './retention.ts'
export { createScrub, type Scrub } from './scrub.ts'
export type { PeerTraffic } from './traffic.ts'
