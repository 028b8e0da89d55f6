// Stands in for node:child_process in the build of fleetctl, which starts no processes; see build.mjs.
export {}
