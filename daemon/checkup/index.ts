// What this daemon finds out about its host and the way to other members when somebody asks (`fleetctl doctor`): clocks, ports in both
// directions, the disk. It does nothing until then, and answers other members that ask the same; what is wrong is for the asker to say.
export { type Checkup, createCheckup } from './checkup.ts'
export { CHECKUP, serveCheckup } from './peer.ts'
