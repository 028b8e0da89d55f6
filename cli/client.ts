import { type IncomingMessage, request as startRequest } from 'node:http'
import { connect } from 'node:net'
import type { Call, DownloadName, PlainName, Problem, Result, StreamName, Update } from '../protocol/api/index.ts'
import { type ErrorCode, FleetError } from '../protocol/errors.ts'
import { eventsOf } from './events.ts'
import { plainFingerprint } from './fingerprint.ts'
import type { TlsTarget } from './tls.ts'
import { readToken } from './token-file.ts'

/** Asks the daemon. Every failure is a `FleetError`: the daemon's own, `unavailable` when none answers, or `timeout`. */
export interface Client {
  readonly address: string
  call<N extends PlainName>(name: N, ...input: Input<N>): Promise<Result<N>>
  /** Runs until the stream's result is there. Throws `unavailable` when the daemon stopped before. */
  stream<N extends FiniteName>(name: N, input: Call<N>, onUpdate: (update: Update<N>) => void): Promise<Result<N>>
  /** What a stream tells, for as long as the caller reads on and the daemon is there. */
  updates<N extends StreamName>(name: N, input: Call<N>): AsyncGenerator<Update<N>>
  /** Bytes, `size` of them. Reading throws `unavailable` when the daemon does not send them all. */
  download<N extends DownloadName>(
    name: N,
    input: Call<N>,
  ): Promise<{ readonly size: number; readonly bytes: AsyncIterable<Uint8Array> }>
}

/** Streams that end by themselves, with a result. */
type FiniteName = { [N in StreamName]: undefined extends Result<N> ? never : N }[StreamName]
type Input<N extends PlainName> = keyof Call<N> extends never ? [] : [input: Call<N>]
interface Parts {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body?: unknown
}

/** Where a daemon is asked, and how it knows us and we know it. */
export interface Door {
  /** `unix:PATH`, `HOST:PORT` or `https://HOST:PORT`. */
  readonly address: string
  /** For `https` alone: a token is never sent where others can read it. */
  readonly tokenFile?: string | undefined
  readonly fingerprint?: string | undefined
}

export interface ClientInit {
  readonly door: Door
  /** For one answer. Milliseconds. */
  readonly timeout: number
  /** Ends whatever is under way. */
  readonly signal: AbortSignal
}

/** The largest answer that is taken in. A fleet of 4 000 members is about 4 MiB. */
const MAX_ANSWER = 64 * 1024 * 1024

export function createClient({ door, timeout, signal }: ClientInit): Client {
  const { address } = door
  const where = target(door)
  let token: Promise<string> | undefined

  const ask = async (name: string, parts: Parts, patience: number | undefined): Promise<IncomingMessage> => {
    signal.throwIfAborted()
    if (isTls(where) && door.tokenFile !== undefined) token ??= readToken(door.tokenFile)
    const bearer = await token
    const limit = patience === undefined ? UNLIMITED : limitOf(patience, address)
    const stop = AbortSignal.any([signal, ...limit.signals])
    const [method, path] = name.split(' ') as [string, string]
    const body = parts.body === undefined ? undefined : JSON.stringify(parts.body)
    try {
      const socket = isTls(where) ? await (await import('./tls.ts')).connectTls(where, stop) : connect(where)
      return await new Promise((done, fail) => {
        const request = startRequest({
          // A connection of its own, and no agent: one command asks one or two things.
          createConnection: () => socket,
          method,
          path: fill(path, parts),
          headers: {
            ...(isTls(where) ? { host: address.slice(HTTPS.length) } : {}),
            ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
            // RFC 7240: the daemon can then say why it has no answer, where the caller would only know that none came.
            ...(patience === undefined ? {} : { prefer: `wait=${Math.max(1, Math.ceil(patience / 1_000))}` }),
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
          },
        })
        const onAbort = (): void => void request.destroy(stop.reason as Error)
        stop.addEventListener('abort', onAbort, { once: true })
        request.once('close', () => {
          limit.release()
          stop.removeEventListener('abort', onAbort)
        })
        request.once('error', fail)
        request.once('response', done)
        request.end(body)
      })
    } catch (error) {
      limit.release()
      throw unreachable(error as Error, address)
    }
  }

  return {
    address,
    async call<N extends PlainName>(name: N, ...input: Input<N>) {
      const response = await ask(name, input[0] ?? {}, timeout)
      const text = await textOf(response, address)
      const answer = jsonOf(text, address)
      if (response.statusCode !== 200) throw problemError(answer, response, address)
      return answer as Result<N>
    },
    async stream<N extends FiniteName>(name: N, input: Call<N>, onUpdate: (update: Update<N>) => void) {
      for await (const { event, value } of events(name, input)) {
        if (event === 'update') onUpdate(value as Update<N>)
        else if (event === 'result') return value as Result<N>
      }
      throw new FleetError('unavailable', `the daemon at ${address} stopped before it was done; run the command again`)
    },
    async *updates<N extends StreamName>(name: N, input: Call<N>) {
      for await (const { event, value } of events(name, input)) if (event === 'update') yield value as Update<N>
    },
    async download(name, input) {
      const response = await ask(name, input as Parts, undefined)
      if (response.statusCode !== 200)
        throw problemError(jsonOf(await textOf(response, address), address), response, address)
      const size = Number(response.headers['content-length'])
      return { size, bytes: bytesOf(response, size) }
    },
  }

  async function* bytesOf(response: IncomingMessage, size: number): AsyncGenerator<Uint8Array> {
    let received = 0
    try {
      for await (const piece of response as AsyncIterable<Buffer>) {
        received += piece.byteLength
        yield piece
      }
    } catch (error) {
      if (signal.aborted) throw error
    }
    if (received < size)
      throw new FleetError(
        'unavailable',
        `the daemon at ${address} stopped after ${received} of ${size} bytes; its log says why`,
      )
  }

  async function* events(name: string, input: Parts): AsyncGenerator<{ event: string; value: unknown }> {
    const response = await ask(name, input, undefined)
    if (response.statusCode !== 200)
      throw problemError(jsonOf(await textOf(response, address), address), response, address)
    try {
      for await (const { event, data } of eventsOf(response)) {
        const value = jsonOf(data, address)
        if (event === 'problem') throw problemError(value, response, address)
        yield { event, value }
      }
    } catch (error) {
      throw unreachable(error as Error, address)
    }
  }
}

const HTTPS = 'https://'
type Target = { path: string } | { host: string; port: number } | TlsTarget
const isTls = (where: Target): where is TlsTarget => 'address' in where

function target({ address, fingerprint }: Door): Target {
  if (address.startsWith('unix:')) return { path: address.slice('unix:'.length) }
  const secure = address.startsWith(HTTPS)
  const match = /^(\[[^\]/]+\]|[^:/]+):(\d{1,5})$/.exec(secure ? address.slice(HTTPS.length) : address)
  if (match === null)
    throw new FleetError(
      'bad-input',
      `--api ${JSON.stringify(address)} is not an address; use unix:PATH, HOST:PORT or https://HOST:PORT`,
    )
  const where = { host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) }
  if (!secure) return where
  const pinned = fingerprint === undefined ? undefined : plainFingerprint(fingerprint)
  if (fingerprint !== undefined && pinned === undefined)
    throw new FleetError(
      'bad-input',
      `--api-fingerprint ${JSON.stringify(fingerprint.slice(0, 120))} is none; it is the SHA-256 of a certificate, as "fleetctl info" on its host prints it`,
    )
  return { ...where, address, fingerprint: pinned }
}

function fill(path: string, { params = {}, query = {} }: Parts): string {
  const filled = path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name]!))
  const search = Object.entries(query)
    .flatMap(([key, value]) => (value === undefined ? [] : [value].flat().map(item => [key, item] as const)))
    .map(([key, value]) => `${key}=${encodeURIComponent(value)}`)
    .join('&')
  return search === '' ? filled : `${filled}?${search}`
}

/** How long an answer may take. */
interface Limit {
  readonly signals: readonly AbortSignal[]
  release(): void
}
const UNLIMITED: Limit = { signals: [], release: () => undefined }

function limitOf(patience: number, address: string): Limit {
  const over = new AbortController()
  const timer = setTimeout(
    () =>
      over.abort(
        new FleetError(
          'timeout',
          `the daemon at ${address} did not answer within ${patience / 1000} s; give it longer with --timeout`,
        ),
      ),
    patience,
  )
  return { signals: [over.signal], release: () => clearTimeout(timer) }
}

function unreachable(error: Error, address: string): Error {
  if (error instanceof FleetError) return error
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES' || code === 'EPERM') {
    return new FleetError('unavailable', `no permission to use ${address}; run fleetctl as the user that runs fleetd`, {
      cause: error,
    })
  }
  if (code === 'ECONNREFUSED' || code === 'ENOENT' || code === 'ENOTDIR') {
    return new FleetError(
      'unavailable',
      `no daemon answers at ${address}; start one with "fleetd" (in a checkout: npm start), or name another with --api`,
      { cause: error },
    )
  }
  const plain = !address.startsWith('unix:') && !address.startsWith(HTTPS)
  const hint = plain && code === 'ECONNRESET' ? `; if it speaks TLS, use --api ${HTTPS}${address}` : ''
  return new FleetError('unavailable', `the daemon at ${address} cannot be reached: ${error.message}${hint}`, {
    cause: error,
  })
}

async function textOf(response: IncomingMessage, address: string): Promise<string> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.byteLength
      if (size > MAX_ANSWER) throw new FleetError('too-large', `the answer of ${address} is over ${MAX_ANSWER} bytes`)
      parts.push(part)
    }
  } catch (error) {
    throw unreachable(error as Error, address)
  }
  return Buffer.concat(parts).toString()
}

function jsonOf(text: string, address: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw notFleetd(address, cause)
  }
}

const notFleetd = (address: string, cause?: unknown): FleetError =>
  new FleetError('unavailable', `what answers at ${address} is not a fleetd that this fleetctl understands`, { cause })

function problemError(answer: unknown, response: IncomingMessage, address: string): FleetError {
  const problem = (answer ?? {}) as Partial<Problem>
  if (typeof problem.code !== 'string' || typeof problem.detail !== 'string')
    return notFleetd(address, new Error(`HTTP ${response.statusCode}`))
  return new FleetError(problem.code as ErrorCode, problem.detail, { detail: problem.particulars ?? {} })
}
