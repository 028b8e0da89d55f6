// Serf's RPC protocol (msgpack over TCP, version 1): what talks to a Serf agent talks to this daemon.
// It translates: what it needs of the daemon is SerfBackend, and no other part knows that it is there.
// It holds no state of the fleet, and nothing that a client says is believed before it has the shape that the protocol gives it.
export type { LogLevel, LogLine, SerfAnswer, SerfBackend, SerfCoordinate, SerfQuery } from './backend.ts'
export { createSerfRpc, type SerfRpc } from './server.ts'
