// The commands of Serf's RPC protocol, version 1 (Serf, docs/agent/rpc), under their names on the wire.
// Each has a schema for its body and one function; what it can see and change is the client it was sent by and the backend.
import type { Command } from './command.ts'
import { event, monitor, stop, stream } from './events.ts'
import {
  forceLeave,
  getCoordinate,
  join,
  key,
  leave,
  listKeys,
  members,
  membersFiltered,
  stats,
  tags,
} from './fleet.ts'
import { query, respond } from './queries.ts'
import { auth, handshake } from './session.ts'

export type { Command, Reply } from './command.ts'

export const COMMANDS: ReadonlyMap<string, Command> = new Map([
  ['handshake', handshake],
  ['auth', auth],
  ['event', event],
  ['force-leave', forceLeave],
  ['join', join],
  ['members', members],
  ['members-filtered', membersFiltered],
  ['tags', tags],
  ['stream', stream],
  ['monitor', monitor],
  ['stop', stop],
  ['leave', leave],
  ['query', query],
  ['respond', respond],
  ['install-key', key],
  ['use-key', key],
  ['remove-key', key],
  ['list-keys', listKeys],
  ['stats', stats],
  ['get-coordinate', getCoordinate],
])
