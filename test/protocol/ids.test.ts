import fc from 'fast-check'
import { base58btc } from 'multiformats/bases/base58'
import { describe, expect, it } from 'vitest'
import {
  generateKeyPair,
  keyPairFromSeed,
  type NodeId,
  nodeIdOf,
  parseDigest,
  parseNodeId,
  parsePublicKey,
  publicKeyOf,
} from '../../protocol/index.ts'
import { refusal, thrown } from './fleet.ts'

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })

describe('a node id', () => {
  it('and its public key are two forms of one thing', () => {
    fc.assert(
      fc.property(seed, bytes => {
        const { publicKey } = keyPairFromSeed(bytes)
        const id = nodeIdOf(publicKey)
        expect(id).toMatch(/^12D3Koo[1-9A-HJ-NP-Za-km-z]{45}$/)
        expect(publicKeyOf(id)).toBe(publicKey)
        expect(parseNodeId(id)).toBe(id)
      }),
    )
  })

  it('is that of the libp2p peer-id specification', () => {
    // specs/peer-ids: the Ed25519 test vector's public key, and its identity multihash in base58btc.
    const publicKey = parsePublicKey('1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e')
    expect(nodeIdOf(publicKey)).toBe(
      base58btc.encode(Uint8Array.of(0, 0x24, 8, 1, 0x12, 0x20, ...Buffer.from(publicKey, 'hex'))).slice(1),
    )
    expect(nodeIdOf(publicKey).startsWith('12D3Koo')).toBe(true)
  })

  it('is not made of anything else', () => {
    const rsa = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N'
    const good = nodeIdOf(generateKeyPair().publicKey)
    for (const text of [
      '',
      'x',
      rsa,
      good.slice(0, -1),
      `${good}1`,
      `${good}\n`,
      `z${good}`,
      '0'.repeat(52),
      '1'.repeat(5000),
    ])
      expect(thrown(() => parseNodeId(text))).toEqual(refusal('bad-input', /^not a node id: .*12D3Koo/))
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), text => {
        expect(thrown(() => publicKeyOf(text as NodeId))).toEqual(refusal('bad-input'))
      }),
    )
  })

  it('is still right after more strangers than are remembered', () => {
    const first = nodeIdOf(generateKeyPair().publicKey)
    const key = publicKeyOf(first)
    for (let i = 0; i < 20_100; i++) {
      const publicKey = parsePublicKey(i.toString(16).padStart(64, '0'))
      expect(publicKeyOf(nodeIdOf(publicKey))).toBe(publicKey)
    }
    expect(publicKeyOf(first)).toBe(key)
  })
})

describe('digests and public keys', () => {
  it('are 64 lower-case hex digits', () => {
    const good = 'a1'.repeat(32)
    for (const parse of [parseDigest, parsePublicKey]) {
      expect(parse(good)).toBe(good)
      for (const text of ['', good.slice(1), `${good}0`, good.toUpperCase(), `${good}\n`, good.replace('a', 'g')])
        expect(thrown(() => parse(text))).toEqual(refusal('bad-input', /64 lower-case hex digits/))
    }
  })

  it('are named in short when they are refused, however long they were', () => {
    expect((thrown(() => parseDigest('x'.repeat(10_000))) as Error).message.length).toBeLessThan(200)
  })
})
