import { encode, formatToken, type InviteToken, parseToken } from '../../../protocol/index.ts'
import { assertSame, HOSTILE, nils, type Target } from '../target.ts'
import { AUTHORITY, INVITE_OF_NODE, INVITED, NOW, OPERATOR } from '../world.ts'

const chain = AUTHORITY.chain.map(({ bytes }) => bytes)
const parts = [chain, INVITE_OF_NODE.bytes, INVITED.seed, ['/ip4/192.0.2.1/tcp/7946']] as const

/** An invite token as it is pasted; the input is what the text encodes. */
export const token: Target = {
  name: 'token',
  maxBytes: 256 * 1024 + 64,
  refusals: ['bad-input', 'unauthorized'],
  seeds: () => [
    ...HOSTILE,
    encode(parts),
    encode([chain, INVITE_OF_NODE.bytes, OPERATOR.seed, []]),
    encode([nils(250_000), ...parts.slice(1)]),
    encode([new Array(500).fill(chain[0]), ...parts.slice(1)]),
  ],
  run: input => parseToken(`fleet1.${Buffer.from(input).toString('base64url')}`, NOW),
  verify(parsed: InviteToken) {
    const { fleet, bootstrap } = parseToken(formatToken(parsed), NOW)
    assertSame('a token', { fleet: parsed.fleet, bootstrap: parsed.bootstrap }, { fleet, bootstrap })
  },
}
