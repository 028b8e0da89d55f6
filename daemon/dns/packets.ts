import {
  type Answer,
  AUTHORITATIVE_ANSWER,
  decode,
  encode,
  type Packet,
  type Question,
  TRUNCATED_RESPONSE,
} from 'dns-packet'
import { type Found, RCODE } from './answer.ts'

/** Without EDNS (RFC 1035, 4.2.1), and the most that is believed of EDNS: what passes everywhere unfragmented (DNS flag day 2020). */
const UDP_SIZE = { least: 512, most: 1232 }
/** The largest question that is looked at. A name has at most 255 bytes. */
export const MAX_QUESTION = 1024
/** Bytes before the first question (RFC 1035, 4.1.1). */
const HEADER = 12
const QUERY_BITS = 0x0100 // RD, which is given back (RFC 1035, 4.1.1)

/** The answer to one packet, or undefined where none is owed: for what is too short to be a question, and for answers. */
export function respond(
  packet: Uint8Array,
  transport: 'udp' | 'tcp',
  find: (question: Question) => Found,
): Uint8Array | undefined {
  // QR is the first bit of the header's third byte.
  if (packet.byteLength < HEADER || packet.byteLength > MAX_QUESTION || (packet[2]! & 0x80) !== 0) return undefined
  const id = (packet[0]! << 8) | packet[1]!
  const opcode = (packet[2]! >> 3) & 0x0f
  const echoed = ((packet[2]! << 8) & QUERY_BITS) | AUTHORITATIVE_ANSWER
  const refuse = (rcode: number): Uint8Array => encode({ type: 'response', id, flags: (opcode << 11) | rcode })
  if (opcode !== 0) return refuse(RCODE.notImplemented)
  if (!isPlain(packet)) return refuse(RCODE.malformed)
  let query: Packet
  try {
    query = decode(Buffer.from(packet))
  } catch {
    return refuse(RCODE.malformed)
  }
  const question = query.questions?.[0]
  if (question === undefined || !isEchoed(packet, question)) return refuse(RCODE.malformed)
  const edns = query.additionals?.find(record => record.type === 'OPT')
  const found =
    question.class === 'IN' ? find(question) : { rcode: RCODE.refused, answers: [], additionals: [], authorities: [] }
  const limit =
    transport === 'tcp'
      ? 65_535
      : Math.min(
          UDP_SIZE.most,
          Math.max(UDP_SIZE.least, edns !== undefined && 'udpPayloadSize' in edns ? edns.udpPayloadSize : 0),
        )
  const made = (change: Partial<Found>, flags: number): Uint8Array => {
    const { answers, additionals, authorities } = { ...found, ...change }
    const opt = edns === undefined ? [] : [edns0()]
    return encode({
      type: 'response',
      id,
      flags: flags | found.rcode,
      questions: [question],
      answers: [...answers],
      authorities: [...authorities],
      additionals: [...additionals, ...opt],
    })
  }
  const whole = made({}, echoed)
  if (whole.byteLength <= limit) return whole
  // Additional records are help, and no reason to ask again (RFC 2181, 9).
  const bare = made({ additionals: [] }, echoed)
  return bare.byteLength <= limit
    ? bare
    : made({ answers: [], additionals: [], authorities: [] }, echoed | TRUNCATED_RESPONSE)
}

/**
 * Whether the header promises one question, no answers, and what a question has besides (EDNS, a signature). The decoder makes room for as much
 * as a header says: forty bytes with counts of 65535 took 50 ms when they were believed.
 */
function isPlain(packet: Uint8Array): boolean {
  const [questions, answers, authorities, additionals] = [4, 6, 8, 10].map(at => (packet[at]! << 8) | packet[at + 1]!)
  return questions === 1 && answers === 0 && authorities === 0 && additionals! <= 2
}

/**
 * Whether the question is written again as it came. It is not when a label holds a dot or bytes that are no UTF-8: nothing of ours has such a
 * name, and an answer with another question is worth nothing. Nor when its name is compressed, which the first of a packet cannot be.
 */
function isEchoed(packet: Uint8Array, question: Question): boolean {
  const written = encode({ type: 'query', questions: [question] }).subarray(HEADER)
  return written.equals(packet.subarray(HEADER, HEADER + written.byteLength))
}

/** What says that this side knows EDNS too (RFC 6891, 6.1.1). */
const edns0 = (): Answer => ({
  type: 'OPT',
  name: '.',
  udpPayloadSize: UDP_SIZE.most,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
})
