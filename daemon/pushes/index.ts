// What was pushed to the registries of the fleet: every member knows it, whether or not it has a registry of its own, so that a
// push outlives the node that took it. Some members keep the content. It knows no HTTP: that is daemon/oci.
export { COPIES, createKeeper, type Keeper } from './keeper.ts'
export { createPushes, type LivePush, type Pushes } from './pushes.ts'
