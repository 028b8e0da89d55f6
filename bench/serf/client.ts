import { connect } from 'node:net'
import { decodeMultiStream, encode } from '@msgpack/msgpack'

/** One connection to an agent that speaks Serf's RPC protocol, version 1: fleetd or Serf itself, asked in the same words. */
export interface SerfClient {
  /** Sends a command and gives its body. Rejects when the agent says that it failed, or does not answer in time. */
  ask(command: string, body?: unknown): Promise<Record<string, unknown>>
  /** Calls `seen` with every event that the agent streams. */
  stream(type: string, seen: (event: Record<string, unknown>) => void): Promise<void>
  close(): void
}

/** Commands whose answer has no body after its header. */
const BARE: ReadonlySet<string> = new Set(['handshake', 'auth', 'event', 'stream', 'leave', 'tags'])
/** An agent that is stopped does not answer; it is asked again later. Milliseconds. */
const PATIENCE = 2_000

export async function connectSerf(host: string, key: string): Promise<SerfClient> {
  const socket = connect({ host, port: 7373 })
  await new Promise<void>((done, fail) => {
    socket.once('connect', done)
    socket.once('error', fail)
  })
  const answers = new Map<number, { wantsBody: boolean; done: (body: unknown) => void; fail: (error: Error) => void }>()
  const streams = new Map<number, (event: Record<string, unknown>) => void>()
  let seq = 0

  const read = async (): Promise<void> => {
    const values = decodeMultiStream(socket) as AsyncGenerator<Record<string, unknown>>
    const next = async (): Promise<Record<string, unknown>> => (await values.next()).value as Record<string, unknown>
    for (;;) {
      const header = await next()
      if (header === undefined) return
      const id = Number(header.Seq)
      const answer = answers.get(id)
      if (answer === undefined) {
        const seen = streams.get(id)
        const event = await next()
        seen?.(event)
        continue
      }
      answers.delete(id)
      if (header.Error !== '') answer.fail(new Error(String(header.Error)))
      else answer.done(answer.wantsBody ? await next() : {})
    }
  }
  const lost = (error: Error): void => {
    for (const { fail } of answers.values()) fail(error)
    answers.clear()
  }
  read().then(() => lost(new Error('the agent closed the connection')), lost)
  socket.on('error', () => undefined)

  const send = (command: string, body: unknown, seen?: (event: Record<string, unknown>) => void) =>
    new Promise<Record<string, unknown>>((done, fail) => {
      seq += 1
      const id = seq
      const late = setTimeout(() => fail(new Error(`${host} did not answer ${command}`)), PATIENCE)
      answers.set(id, {
        wantsBody: !BARE.has(command),
        done(answer) {
          clearTimeout(late)
          done(answer as Record<string, unknown>)
        },
        fail(error) {
          clearTimeout(late)
          fail(error)
        },
      })
      if (seen !== undefined) streams.set(id, seen)
      const header = encode({ Command: command, Seq: id })
      socket.write(body === undefined ? header : Buffer.concat([header, encode(body)]))
    })

  await send('handshake', { Version: 1 })
  await send('auth', { AuthKey: key })
  return {
    ask: (command, body) => send(command, body),
    async stream(type, seen) {
      await send('stream', { Type: type }, seen)
    },
    close: () => socket.destroy(),
  }
}
