export { createSwarm, type Swarm, type SwarmEffect, type SwarmInput } from './machine.ts'
