import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { toFleetError } from '../../protocol/index.ts'
import type { SerfBackend } from './backend.ts'
import { decodeMap, encodeResponse, headerSchema, type RequestHeader, type Seq, shaped } from './codec.ts'
import { COMMANDS, type Command, type Reply } from './commands/index.ts'
import { createFramer } from './framer.ts'
import { createGate, type Gate } from './gate.ts'
import { SERF_LIMITS } from './limits.ts'
import { createPendingQueries, type PendingQueries } from './pending.ts'
import { TEXTS } from './texts.ts'

/** One connection, as commands see it. */
export interface Client {
  readonly backend: SerfBackend
  readonly gate: Gate
  readonly log: Logger
  /** Aborts when the connection has ended. */
  readonly signal: AbortSignal
  /** Event streams under the number of the command that began them, and what ends each. */
  readonly streams: Map<Seq, () => void>
  monitor: { readonly seq: Seq; readonly end: () => void } | undefined
  /** Queries of this client that are under way. */
  queries: number
  readonly pending: PendingQueries
  /** Sends a record of a stream. A client that does not take what it asked for is cut off. */
  send(seq: Seq, body: unknown): void
}

export interface SessionInit {
  readonly socket: Socket
  readonly backend: SerfBackend
  readonly token: string | undefined
  readonly log: Logger
  /** Aborts when the daemon stops: the client still gets what has been sent to it. */
  readonly stopping: AbortSignal
}

/**
 * Serves one client until it goes; resolves when its connection is closed. Commands are carried out one after another, in the order that they came; while one is, nothing more is read.
 * The first message that makes no sense ends the connection: there is no telling where the next would begin.
 */
export async function serve({ socket, backend, token, log, stopping }: SessionInit): Promise<void> {
  const gone = new AbortController()
  const gate = createGate(token)
  const client: Client = {
    backend,
    gate,
    log,
    signal: gone.signal,
    streams: new Map(),
    monitor: undefined,
    queries: 0,
    pending: createPendingQueries(),
    send: (seq, body) => void write(encodeResponse(seq, '', body)),
  }
  const write = (bytes: Uint8Array): boolean => {
    if (!socket.writable) return true
    if (socket.writableLength > SERF_LIMITS.queued) {
      log.warn(
        { client: nameOf(socket), queued: socket.writableLength },
        `Serf client ${nameOf(socket)} does not take what it asked for and is cut off`,
      )
      socket.destroy()
      return true
    }
    return socket.write(bytes)
  }

  const greeting = setTimeout(() => {
    log.debug(`Serf client ${nameOf(socket)} did not introduce itself within ${SERF_LIMITS.greeting} ms`)
    socket.destroy()
  }, SERF_LIMITS.greeting)
  const closed = new Promise<void>(done => {
    socket.once('close', () => done())
  })
  const end = (): void => {
    gone.abort()
    socket.end()
    const patience = setTimeout(() => socket.destroy(), SERF_LIMITS.farewell)
    void closed.then(() => clearTimeout(patience))
  }
  stopping.addEventListener('abort', end)
  void closed.then(() => gone.abort())
  const framer = createFramer(() => (gate.open() ? SERF_LIMITS.message : SERF_LIMITS.greetingMessage))
  const conversation = createConversation(client, async (seq, { error = '', body, after, last }) => {
    const taken = write(encodeResponse(seq, error, body))
    after?.()
    if (gate.open()) clearTimeout(greeting)
    if (!taken && last !== true) await drained(socket)
    return last !== true && !gone.signal.aborted
  })
  try {
    // What is left unread when it ends is read past below: a connection that is closed over it loses the last reply.
    read: for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      for (const value of framer(chunk as Uint8Array)) if (!(await conversation(value))) break read
    }
  } catch (error) {
    const { code, message } = toFleetError(error)
    if (code !== 'internal') log.debug(`Serf client ${nameOf(socket)} is disconnected: ${message}`)
    // A connection that broke is nothing to tell of; anything else that was not foreseen is.
    else if ((error as NodeJS.ErrnoException).code === undefined)
      log.error({ err: error }, 'serving a Serf client failed')
  } finally {
    clearTimeout(greeting)
    stopping.removeEventListener('abort', end)
    end()
    for (const endStream of client.streams.values()) endStream()
    client.monitor?.end()
    socket.resume()
  }
  await closed
}

/**
 * Puts values together to requests and answers each. Resolves with false when the connection ends with it. Throws `corrupt` on a
 * value that is no request.
 */
function createConversation(
  client: Client,
  reply: (seq: Seq, reply: Reply) => Promise<boolean>,
): (value: Uint8Array) => Promise<boolean> {
  /** A request whose body is still to come. `refused`: it has its answer, and the body is only to be read past. */
  let waiting: { header: RequestHeader; command: Command; refused: boolean } | undefined

  const begin = async (header: RequestHeader): Promise<boolean> => {
    const command = COMMANDS.get(header.Command)
    const refusal = client.gate.refusal(header.Command)
    if (refusal !== undefined || command === undefined) {
      // Whether a body follows an unknown command is not known either.
      const last = refusal?.last === true || command === undefined
      if (command?.body !== undefined) waiting = { header, command, refused: true }
      return reply(header.Seq, { error: refusal?.text ?? TEXTS.unsupportedCommand, last })
    }
    if (command.body === undefined) return answer(header, command, undefined)
    waiting = { header, command, refused: false }
    return true
  }

  const answer = async ({ Seq }: RequestHeader, command: Command, body: unknown): Promise<boolean> => {
    let result: Reply
    try {
      result = await command.run(body, client, Seq)
    } catch (error) {
      const failure = toFleetError(error)
      if (failure.code === 'internal') client.log.error({ err: error }, 'a command of a Serf client failed')
      result = { error: failure.message, body: command.empty }
    }
    return reply(Seq, result)
  }

  return async bytes => {
    const value = decodeMap(bytes)
    if (waiting === undefined) return begin(shaped(headerSchema, value))
    const { header, command, refused } = waiting
    waiting = undefined
    return refused || answer(header, command, shaped(command.body!, value))
  }
}

/** Resolves when what was written has been taken, or the connection has ended. */
function drained(socket: Socket): Promise<void> {
  return new Promise(done => {
    const over = (): void => {
      socket.off('drain', over)
      socket.off('close', over)
      done()
    }
    socket.on('drain', over)
    socket.on('close', over)
    if (socket.destroyed) over()
  })
}

const nameOf = (socket: Socket): string => `${socket.remoteAddress}:${socket.remotePort}`
