import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  generateKeyPair,
  keyPairFromSeed,
  type PublicKey,
  parsePublicKey,
  sha256,
  verifySignature,
} from '../../protocol/index.ts'

const seed = fc.uint8Array({ minLength: 32, maxLength: 32 })
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

describe('a key pair', () => {
  it('signs as RFC 8032 says', () => {
    // RFC 8032 §7.1, TEST 3.
    const pair = keyPairFromSeed(hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'))
    expect(pair.publicKey).toBe('fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025')
    expect(Buffer.from(pair.sign(hex('af82'))).toString('hex')).toBe(
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    )
  })

  it('is the same from the same seed, and keeps a seed of its own', () => {
    fc.assert(
      fc.property(seed, bytes => {
        const given = Uint8Array.from(bytes)
        const pair = keyPairFromSeed(given)
        given.fill(0)
        expect(pair.seed).toEqual(bytes)
        expect(keyPairFromSeed(pair.seed).publicKey).toBe(pair.publicKey)
        expect(pair.publicKey).toMatch(/^[0-9a-f]{64}$/)
      }),
    )
  })

  it('is another one each time, and can be made again from its seed', () => {
    const made = Array.from({ length: 50 }, generateKeyPair)
    expect(new Set(made.map(pair => pair.publicKey)).size).toBe(50)
    for (const pair of made) expect(keyPairFromSeed(pair.seed).publicKey).toBe(pair.publicKey)
  })

  it.each([0, 31, 33, 64])('is not made of %i bytes', length => {
    expect(() => keyPairFromSeed(new Uint8Array(length))).toThrow(/32 bytes/)
  })
})

describe('a signature', () => {
  it('verifies over exactly these bytes and under this key, and not otherwise', () => {
    fc.assert(
      fc.property(seed, fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.nat(7), (bytes, message, where, bit) => {
        const pair = keyPairFromSeed(bytes)
        const signature = pair.sign(message)
        expect(signature.byteLength).toBe(64)
        expect(verifySignature(pair.publicKey, message, signature)).toBe(true)
        const other = Uint8Array.from(signature)
        other[where % 64]! ^= 1 << bit
        expect(verifySignature(pair.publicKey, message, other)).toBe(false)
        expect(verifySignature(pair.publicKey, Buffer.concat([message, Buffer.of(0)]), signature)).toBe(false)
        expect(verifySignature(generateKeyPair().publicKey, message, signature)).toBe(false)
      }),
    )
  })

  it('of another length, or under what is no key, is only false', () => {
    const pair = generateKeyPair()
    const signature = pair.sign(Uint8Array.of(1))
    for (const bytes of [new Uint8Array(), signature.subarray(0, 63), Buffer.concat([signature, Buffer.of(0)])])
      expect(verifySignature(pair.publicKey, Uint8Array.of(1), bytes)).toBe(false)
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), bytes => {
        const key = parsePublicKey(Buffer.from(bytes).toString('hex'))
        expect(verifySignature(key, Uint8Array.of(1), signature)).toBe(false)
      }),
    )
    expect(verifySignature('not hex' as PublicKey, Uint8Array.of(1), signature)).toBe(false)
  })

  it('does not verify a second time with its other half shifted by the order of the group', () => {
    // RFC 8032 §5.1.7: S must be below L; S + L would be a second signature of the same message.
    const order = 2n ** 252n + 27742317777372353535851937790883648493n
    const pair = generateKeyPair()
    const signature = pair.sign(Uint8Array.of(1))
    let scalar = order
    for (let i = 0; i < 32; i++) scalar += BigInt(signature[32 + i]!) << BigInt(8 * i)
    const shifted = Uint8Array.from(signature)
    for (let i = 0; i < 32; i++) shifted[32 + i] = Number((scalar >> BigInt(8 * i)) & 0xffn)
    expect(verifySignature(pair.publicKey, Uint8Array.of(1), shifted)).toBe(false)
  })
})

describe('SHA-256', () => {
  it('is that of FIPS 180-2, and of parts as of the whole', () => {
    expect(sha256(Buffer.from('abc'))).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')
    expect(sha256()).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(sha256(Buffer.from('a'), Buffer.from('bc'))).toBe(sha256(Buffer.from('abc')))
  })
})
