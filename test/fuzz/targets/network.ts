import { createHmac } from 'node:crypto'
import type { Stream } from '@libp2p/interface'
import { encode as prefixed } from 'it-length-prefixed'
import { type Frames, frames } from '../../../daemon/network/frames.ts'
import { ADMISSION_FRAME, introduceAsDialer, introduceAsListener } from '../../../daemon/network/handshake.ts'
import { parseAnswer, parseOpen } from '../../../daemon/network/links.ts'
import {
  decodeRequest,
  decodeResponse,
  encodeFailure,
  encodeRequest,
  encodeResponse,
  RPC_FRAME,
  type RpcRequest,
} from '../../../daemon/network/rpc-messages.ts'
import { checkCertificate, decode, encode, FleetError } from '../../../protocol/index.ts'
import { assertSame, Broken, crowd, HOSTILE, nils, type Target } from '../target.ts'
import { AUTHORITY, CERTIFICATE_OF_NODE, NODE, NOW, PEER } from '../world.ts'

export const rpc: Target = {
  name: 'rpc',
  maxBytes: RPC_FRAME + 64,
  // A response may carry any error of ours.
  refusals: [
    ...(['bad-input', 'unauthorized', 'refused', 'conflict', 'not-found', 'no-quorum', 'timeout'] as const),
    ...(['unavailable', 'corrupt', 'too-large', 'no-space', 'unclaimed', 'internal'] as const),
  ],
  seeds: () => [
    ...HOSTILE,
    encodeRequest({ service: 'ledger', body: new Uint8Array(9) }),
    encodeResponse(new Uint8Array(9)),
    encodeFailure(new FleetError('conflict', 'no', { detail: { generation: 8, other: 'x' } })),
    encode([false, ['internal', 'x'.repeat(1_000_000), {}]]),
    encode([false, ['internal', 'x', crowd(60_000)]]),
    encode([false, ['internal', 'x', new Uint8Array(1_000_000)]]),
    encode(nils(1_000_000)),
  ],
  run(input) {
    try {
      return decodeRequest(input)
    } catch (error) {
      if (!(error instanceof FleetError)) throw error
      return decodeResponse(input)
    }
  },
  verify(value: RpcRequest | Uint8Array) {
    if (value instanceof Uint8Array) assertSame('a response', value, decodeResponse(encodeResponse(value)))
    else assertSame('a request', value, decodeRequest(encodeRequest(value)))
  },
}

export const linkOpen: Target = {
  name: 'link-open',
  maxBytes: 4_096 + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encode(['0123456789abcdef', ['0123456789abcdef']]),
    encode(['0123456789abcdef', []]),
    encode([true]),
    encode(nils(4_000)),
  ],
  run(input) {
    try {
      return parseAnswer(input)
    } catch (error) {
      if (!(error instanceof FleetError)) throw error
      return parseOpen(input)
    }
  },
}

const proof = (parts: readonly (string | Uint8Array)[]): Uint8Array =>
  createHmac('sha256', AUTHORITY.fleet).update(encode(parts)).digest()

/** A peer that says these frames, each made when it is waited for; a missing one is the end of its side. */
function saying(script: readonly ((sent: readonly Uint8Array[]) => Uint8Array)[]): Frames {
  const sent: Uint8Array[] = []
  return {
    incoming: (async function* () {
      for (const make of script) yield make(sent)
    })(),
    over: Promise.resolve(),
    receivedBytes: 0,
    queuedBytes: 0,
    async send(frame) {
      sent.push(frame)
    },
    async end() {},
    abort() {},
  }
}

const us = { self: PEER, fleet: AUTHORITY.fleet as string, certificate: CERTIFICATE_OF_NODE.bytes, boot: 'b' }
const judge = (certificate: Uint8Array) => void checkCertificate(AUTHORITY, certificate, NOW)
const nonce = new Uint8Array(32).fill(7)
const knowing = () => encode([nonce, proof(['dialer', NODE, PEER, nonce])])
const answering = ([opening]: readonly Uint8Array[]) => {
  const [theirs] = decode(opening!, ADMISSION_FRAME) as [Uint8Array]
  return encode([nonce, proof(['listener', PEER, NODE, theirs, nonce])])
}

/** The admission exchange, where everything is a stranger's: the first byte says which of its frames the input is. */
export const handshake: Target = {
  name: 'handshake',
  maxBytes: ADMISSION_FRAME + 64,
  refusals: ['corrupt', 'too-large', 'unauthorized'],
  seeds: () =>
    [0, 1, 2, 3].flatMap(step =>
      [
        ...HOSTILE.filter(({ byteLength }) => byteLength < ADMISSION_FRAME),
        knowing(),
        encode([us.certificate, 'boot']),
      ].map(frame => Uint8Array.from([step, ...frame])),
    ),
  async run(input) {
    const said = () => input.subarray(1)
    const signal = new AbortController().signal
    const end = () => new Uint8Array()
    switch ((input[0] ?? 0) & 3) {
      case 0:
        return introduceAsListener(saying([said, said, end]), us, NODE, judge, signal)
      case 1:
        return introduceAsListener(saying([knowing, said, end]), us, NODE, judge, signal)
      case 2:
        return introduceAsDialer(saying([said, said]), us, NODE, judge, signal)
      default:
        return introduceAsDialer(saying([answering, said]), us, NODE, judge, signal)
    }
  },
}

const MAX_FRAME = 8 * 1024

/** Bytes of a stream, in pieces whose lengths the first byte decides: what is read never depends on how it was cut. */
export const framing: Target = {
  name: 'framing',
  maxBytes: 64 * 1024,
  refusals: ['corrupt', 'unavailable'],
  seeds: () => [
    new Uint8Array(),
    stream([1], [2, 3], []),
    stream([1], new Array(MAX_FRAME).fill(1)),
    stream(new Array(MAX_FRAME + 1).fill(1)),
    stream(...new Array(20_000).fill([])),
    Uint8Array.from([7, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
    Uint8Array.from([7, 0x80, 0x80, 0x80, 0x80, 0x00, 1]),
    Uint8Array.from([1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00]),
    Uint8Array.from([0, 5, 1, 2]),
  ],
  async run(input) {
    const { frames: read, error } = await readAll(input.subarray(1), pieceOf(input))
    if (error !== undefined) throw error
    return read
  },
  async verify(read: Uint8Array[], input) {
    assertSame('a stream in pieces', read, (await readAll(input.subarray(1), input.byteLength)).frames)
  },
}

const pieceOf = (input: Uint8Array): number => 1 + (input[0] ?? 0) * 16

function stream(...contents: readonly (readonly number[])[]): Uint8Array {
  return Uint8Array.from([3, ...contents.flatMap(frame => [...prefixed.single(Uint8Array.from(frame)).subarray()])])
}

async function readAll(bytes: Uint8Array, size: number): Promise<{ frames: Uint8Array[]; error: Error | undefined }> {
  const source = (async function* () {
    for (let at = 0; at < bytes.byteLength; at += size) yield bytes.subarray(at, at + size)
  })()
  const over = frames({ source, sink: async () => {}, timeline: {}, abort() {} } as unknown as Stream, MAX_FRAME)
  const read: Uint8Array[] = []
  try {
    for await (const frame of over.incoming) {
      if (frame.byteLength > MAX_FRAME) throw new Broken(`a frame of ${frame.byteLength} bytes was let through`)
      read.push(frame)
    }
  } catch (error) {
    if (error instanceof FleetError) return { frames: read, error }
    // The stream ended in the middle of a frame, which is no garbage: the caller only needs to see that it ended badly.
    if ((error as Error).name === 'UnexpectedEOFError')
      return { frames: read, error: new FleetError('unavailable', 'cut') }
    throw error
  }
  return { frames: read, error: undefined }
}
