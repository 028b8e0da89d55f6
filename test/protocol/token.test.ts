import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Address,
  certify,
  checkCertificate,
  encode,
  FleetError,
  formatToken,
  generateKeyPair,
  INVITE,
  type InviteToken,
  isToken,
  type KeyPair,
  LIMITS,
  nodeIdOf,
  parseToken,
  sign,
  withPolicy,
} from '../../protocol/index.ts'
import { at, fleet, HOUR, NOW, nextPolicy, node, refusal, type TestFleet, thrown } from './fleet.ts'

const BOOTSTRAP = ['/ip4/192.0.2.1/tcp/7946', '/ip6/2001:db8::1/tcp/7946'] as Address[]

function invite(home: TestFleet, rest: Partial<InviteToken> & { signer?: KeyPair; expires?: number } = {}): string {
  const key = generateKeyPair()
  const statement = sign(INVITE, home.id, NOW, { key: key.publicKey, expires: at(rest.expires ?? HOUR) }, [
    rest.signer ?? home.operator,
  ])
  return formatToken({ chain: [home.first.bytes], invite: statement, key, bootstrap: BOOTSTRAP, ...rest })
}

describe('an invite token', () => {
  it('tells a new host its fleet, its invite and whom to ask', () => {
    const home = fleet()
    const text = invite(home)
    expect(isToken(text)).toBe(true)
    expect(text).toMatch(/^fleet1\.[A-Za-z0-9_-]+$/)
    const token = parseToken(text, NOW)
    expect(token.fleet).toBe(home.id)
    expect(token.bootstrap).toEqual(BOOTSTRAP)
    expect(token.key.publicKey).toBe(token.invite.body.key)
  })

  it('makes whoever holds it a member', () => {
    const home = fleet()
    const token = parseToken(invite(home), NOW)
    const joining = nodeIdOf(generateKeyPair().publicKey)
    const certificate = certify(token, joining, NOW)
    expect(checkCertificate(home.authority, certificate.bytes, NOW)).toMatchObject({ node: joining, fresh: true })
  })

  it('carries the whole policy chain, and goes by the newest policy', () => {
    const operator = generateKeyPair()
    const successor = generateKeyPair()
    const home = fleet(operator)
    const second = nextPolicy(home, home.first, [successor], [operator, successor])
    const chain = [home.first.bytes, second.bytes]
    expect(parseToken(invite(home, { chain, signer: successor }), NOW).fleet).toBe(home.id)
    expect(withPolicy(home.authority, second.bytes).policy.version).toBe(2)
    expect(thrown(() => parseToken(invite(home, { chain, signer: operator }), NOW))).toEqual(
      refusal('unauthorized', /not signed by an operator of its fleet/),
    )
  })

  it('ends when its invite expires, and says when that was and what to do', () => {
    const text = invite(fleet(), { expires: 0 })
    expect(parseToken(text, NOW)).toBeDefined()
    expect(thrown(() => parseToken(text, at(1)))).toEqual(
      refusal('unauthorized', /^the invite expired on 2030-01-01T00:00:00\.000Z; ask for a new one: fleetctl invite$/),
    )
  })

  it('is not one when it begins with something else', () => {
    for (const text of ['', 'fleet1', 'fleet2.AAAA', '192.0.2.1:7946', ` ${invite(fleet())}`]) {
      expect(isToken(text)).toBe(false)
      expect(thrown(() => parseToken(text, NOW))).toEqual(refusal('bad-input', /begins with "fleet1\."/))
    }
  })

  it('of an operator who is none, or of another fleet, is refused', () => {
    const home = fleet()
    expect(thrown(() => parseToken(invite(home, { signer: generateKeyPair() }), NOW))).toEqual(
      refusal('unauthorized', /not signed by an operator/),
    )
    const away = fleet(home.operator, { nonce: 2 })
    expect(thrown(() => parseToken(invite(away, { chain: [home.first.bytes] }), NOW))).toEqual(
      refusal('unauthorized', /another fleet/),
    )
    expect(thrown(() => parseToken(invite(home, { key: generateKeyPair() }), NOW))).toEqual(
      refusal('bad-input', /its key is not the one that was invited/),
    )
  })

  it('is refused wherever it is cut, as damaged', () => {
    const text = invite(fleet())
    for (let end = 'fleet1.'.length; end < text.length - 1; end++)
      expect(thrown(() => parseToken(text.slice(0, end), NOW))).toEqual(refusal('bad-input', /damaged/))
  })

  it('is refused, or is the same token, with one letter changed', () => {
    const home = fleet()
    const text = invite(home)
    const good = parseToken(text, NOW)
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    fc.assert(
      fc.property(fc.integer({ min: 7, max: text.length - 1 }), fc.constantFrom(...letters), (where, letter) => {
        const changed = text.slice(0, where) + letter + text.slice(where + 1)
        try {
          const token = parseToken(changed, NOW)
          // The way in is no part of what is signed: a wrong address leads to nobody who could be believed.
          expect({ ...token, bootstrap: [], key: token.key.publicKey }).toEqual({
            ...good,
            bootstrap: [],
            key: good.key.publicKey,
          })
        } catch (error) {
          expect(error).toBeInstanceOf(FleetError)
          expect(['bad-input', 'unauthorized']).toContain((error as FleetError).code)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('made of garbage is refused as damaged', () => {
    const as = (value: unknown): string => `fleet1.${Buffer.from(encode(value)).toString('base64url')}`
    const home = fleet()
    for (const value of [
      null,
      [],
      [[], home.first.bytes, new Uint8Array(32), []],
      [[home.first.bytes], home.first.bytes, new Uint8Array(31), []],
      [[home.first.bytes], home.first.bytes, new Uint8Array(32), []],
      [[Uint8Array.of(1)], home.first.bytes, new Uint8Array(32), []],
      [[home.first.bytes], new Uint8Array(LIMITS.invite + 1), new Uint8Array(32), []],
      [[home.first.bytes], home.first.bytes, new Uint8Array(32), ['no multiaddr']],
      [[home.first.bytes], home.first.bytes, new Uint8Array(32), Array(17).fill(BOOTSTRAP[0])],
    ])
      expect(thrown(() => parseToken(as(value), NOW))).toEqual(refusal('bad-input', /damaged/))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), bytes => {
        const text = `fleet1.${Buffer.from(bytes).toString('base64url')}`
        expect(thrown(() => parseToken(text, NOW))).toEqual(refusal('bad-input', /damaged/))
      }),
      { numRuns: 1000 },
    )
  })

  it('is refused as damaged with a key cut short, and with a chain of hundreds of thousands of nothings', () => {
    const as = (value: unknown): string => `fleet1.${Buffer.from(encode(value)).toString('base64url')}`
    const home = fleet()
    const member = node(home)
    const good = [[home.first.bytes], member.invite.bytes, member.inviteKey.seed, BOOTSTRAP]
    expect(parseToken(as(good), NOW).fleet).toBe(home.id)
    for (const bad of [
      good.with(2, member.inviteKey.seed.subarray(1)),
      good.with(0, Array(200_000).fill(null)),
      good.with(0, Array(1_025).fill(home.first.bytes)),
    ])
      expect(thrown(() => parseToken(as(bad), NOW))).toEqual(refusal('bad-input', /damaged/))
  })

  it('is refused over its limit without being read', () => {
    const text = `fleet1.${'A'.repeat(400_000)}`
    expect(thrown(() => parseToken(text, NOW))).toEqual(refusal('bad-input', /damaged/))
  })
})
