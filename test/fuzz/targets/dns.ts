import { decode, encode } from 'dns-packet'
import { answer } from '../../../daemon/dns/answer.ts'
import { MAX_QUESTION, respond } from '../../../daemon/dns/packets.ts'
import type { MemberView } from '../../../membership/index.ts'
import { type Address, seededRandom } from '../../../protocol/index.ts'
import { member } from '../../daemon/handlers/support.ts'
import { Broken, type Target } from '../target.ts'

const random = seededRandom(1)
/** More members with one service than an answer has room for. */
const MEMBERS: readonly MemberView[] = Array.from({ length: 100 }, (_, n) =>
  member(`n${n}`, {
    addresses: [`/ip4/192.0.2.${n}/tcp/7946`, `/ip6/2001:db8::${n}/tcp/7946`] as Address[],
    services: [{ name: 'web', port: 8080, protocol: 'tcp', health: 'passing', weight: 10 }],
  }),
)

const question = (name: string, type: string, more: object = {}): Uint8Array =>
  encode({ type: 'query', id: 7, flags: 0x0100, questions: [{ name, type: type as 'A' }], ...more })
const edns = {
  additionals: [
    {
      type: 'OPT',
      name: '.',
      udpPayloadSize: 4096,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    },
  ],
}
const header = (flags: number, questions: number): number[] => [0, 7, flags, 0, 0, questions, 0, 0, 0, 0, 0, 0]

/** A datagram of anybody who can reach `--dns`. */
export const dns: Target = {
  name: 'dns',
  // One byte more than is looked at.
  maxBytes: MAX_QUESTION + 1,
  refusals: [],
  seeds: () => [
    new Uint8Array(),
    question('web.service.fleet', 'A'),
    question('_web._tcp.service.fleet', 'SRV', edns),
    question('n1.node.fleet', 'AAAA'),
    question('n1.node.fleet', 'TXT', edns),
    question('fleet', 'SOA'),
    question('example.org', 'ANY'),
    question(`${'a.'.repeat(120)}fleet`, 'A'),
    // A name that points at itself, one that ends too early, and another operation.
    Uint8Array.from([...header(1, 1), 0xc0, 12, 0, 1, 0, 1]),
    Uint8Array.from([...header(1, 1), 63, 97]),
    Uint8Array.from(header(0x28, 1)),
  ],
  run: input => respond(input, 'udp', asked => answer(asked, MEMBERS, random)),
  verify(response: Uint8Array | undefined, input) {
    if (response === undefined) return
    if (response.byteLength > 1232) throw new Broken(`an answer of ${response.byteLength} bytes goes into a datagram`)
    const { type, id } = decode(Buffer.from(response))
    if (type !== 'response') throw new Broken('what was asked for is answered with a question')
    if (id !== ((input[0]! << 8) | input[1]!)) throw new Broken('the answer is to another question')
  },
}
