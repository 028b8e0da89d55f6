import { encode } from '@msgpack/msgpack'
import { decodeMap, headerSchema, type RequestHeader, shaped } from '../../../daemon/serf-rpc/codec.ts'
import { COMMANDS, type Command } from '../../../daemon/serf-rpc/commands/index.ts'
import { createFramer } from '../../../daemon/serf-rpc/framer.ts'
import { SERF_LIMITS } from '../../../daemon/serf-rpc/limits.ts'
import { Broken, HOSTILE, type Target } from '../target.ts'

interface Request {
  readonly header: RequestHeader
  readonly body: unknown
}

/** What a client that has greeted sends, as far as it makes sense: framed, decoded, and put into the shapes of its commands. */
function requestsIn(pieces: readonly Uint8Array[]): Request[] {
  const framer = createFramer(() => SERF_LIMITS.message)
  const requests: Request[] = []
  let waiting: { header: RequestHeader; command: Command } | undefined
  for (const piece of pieces) {
    for (const bytes of framer(piece)) {
      const value = decodeMap(bytes)
      if (waiting !== undefined) {
        requests.push({ header: waiting.header, body: shaped(waiting.command.body!, value) })
        waiting = undefined
        continue
      }
      const header = shaped(headerSchema, value)
      const command = COMMANDS.get(header.Command)
      if (command === undefined) return requests // the connection ends with it
      if (command.body === undefined) requests.push({ header, body: undefined })
      else waiting = { header, command }
    }
  }
  return requests
}

const request = (command: string, body?: object): Uint8Array =>
  Buffer.concat([encode({ Command: command, Seq: 1 }), ...(body === undefined ? [] : [encode(body)])])
const payload = Uint8Array.of(0xff, 0, 1)

const REQUESTS: readonly Uint8Array[] = [
  request('handshake', { Version: 1 }),
  request('auth', { AuthKey: 'correct horse' }),
  request('event', { Name: 'deploy', Payload: payload, Coalesce: true }),
  request('force-leave', { Node: 'alpha', Prune: false }),
  request('join', { Existing: ['192.0.2.1:7946', '[2001:db8::1]:7946'], Replay: true }),
  request('members'),
  request('members-filtered', { Tags: { role: '(a+)+b' }, Status: 'alive|left', Name: '.*' }),
  request('tags', { Tags: { a: '1' }, DeleteTags: ['b'] }),
  request('stream', { Type: 'member-join,user:deploy,query' }),
  request('monitor', { LogLevel: 'debug' }),
  request('stop', { Stop: 2 }),
  request('query', {
    ...{ FilterNodes: ['alpha'], FilterTags: { role: 'web' }, RequestAck: true, RelayFactor: 1, Timeout: 15e9 },
    ...{ Name: 'load', Payload: payload },
  }),
  request('respond', { ID: 1, Payload: payload }),
  request('install-key', { Key: 'HvY8ubRZMgafUOWvrOadwOckVa1wN3QWAo46FVKbVN8=' }),
  request('list-keys'),
  request('get-coordinate', { Node: 'alpha' }),
]

/** What Serf's clients send. However a stream is cut, the same has to come out of it. */
export const serfRpc: Target = {
  name: 'serf-rpc',
  maxBytes: SERF_LIMITS.message + 1024,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [...HOSTILE, ...REQUESTS, Buffer.concat(REQUESTS)],
  run: input => requestsIn([input]),
  verify(whole: Request[], input) {
    const half = input.byteLength >> 1
    const cut = requestsIn([input.subarray(0, half), input.subarray(half, half + 1), input.subarray(half + 1)])
    if (cut.length !== whole.length)
      throw new Broken(`${whole.length} requests in one piece and ${cut.length} in three`)
  },
}
