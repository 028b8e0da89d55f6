// Bundled apart from the daemon (build.mjs) and imported by those alone who use it: in the same file it costs every daemon 1.4 MB, used or not.
export { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
