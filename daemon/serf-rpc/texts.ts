// What Serf's own agent says in these cases, word for word: clients compare some of them.
// Serf, docs/agent/rpc, and agent/ipc.go.
export const TEXTS = {
  handshakeRequired: 'Handshake required',
  duplicateHandshake: 'Handshake already performed',
  unsupportedVersion: 'Unsupported IPC version',
  unsupportedCommand: 'Unsupported command',
  authRequired: 'Authentication required',
  invalidToken: 'Invalid authentication token',
  monitorExists: 'Monitor already exists',
  invalidFilter: 'Invalid event filter',
  streamExists: 'Stream with given sequence exists',
  invalidQuery: 'No pending queries matching ID',
  internalPrefix: "Queries cannot contain the '_serf_' prefix",
} as const
