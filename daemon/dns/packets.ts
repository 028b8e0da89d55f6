import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, type Packet, TRUNCATED_RESPONSE } from 'dns-packet'
import { type Found, RCODE } from './answer.ts'

/** Without EDNS (RFC 1035, 4.2.1), and the most that is believed of EDNS: what passes everywhere unfragmented (DNS flag day 2020). */
const UDP_SIZE = { least: 512, most: 1232 }
/** The largest question that is looked at. A name has at most 255 bytes. */
export const MAX_QUESTION = 1024
const QUERY_BITS = 0x0100 // RD, which is given back (RFC 1035, 4.1.1)

/** The answer to one packet, or undefined where none is owed: for what is too short to be a question, and for answers. */
export function respond(
  packet: Uint8Array,
  transport: 'udp' | 'tcp',
  find: (question: NonNullable<Packet['questions']>[number]) => Found,
): Uint8Array | undefined {
  // The header: 12 bytes, with QR as the first bit of the third.
  if (packet.byteLength < 12 || packet.byteLength > MAX_QUESTION || (packet[2]! & 0x80) !== 0) return undefined
  const id = (packet[0]! << 8) | packet[1]!
  const opcode = (packet[2]! >> 3) & 0x0f
  const echoed = ((packet[2]! << 8) & QUERY_BITS) | AUTHORITATIVE_ANSWER
  const refuse = (rcode: number): Uint8Array => encode({ type: 'response', id, flags: (opcode << 11) | rcode })
  if (opcode !== 0) return refuse(RCODE.notImplemented)
  let query: Packet
  try {
    query = decode(Buffer.from(packet))
  } catch {
    return refuse(RCODE.malformed)
  }
  const [question, ...more] = query.questions ?? []
  if (question === undefined || more.length > 0) return refuse(RCODE.malformed)
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
