import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { describe, expect, it } from 'vitest'
import { decode, encode, FleetError } from '../../protocol/index.ts'
import { refusal, thrown } from './fleet.ts'

const LIMIT = 1 << 20
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))
const refused = (bytes: Uint8Array, code = 'corrupt', message?: RegExp): void =>
  expect(thrown(() => decode(bytes, LIMIT))).toEqual(refusal(code, message))

/** Buffers are how byte strings come back; to the reader they are bytes all the same. */
const normal = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return Uint8Array.from(value)
  if (Array.isArray(value)) return value.map(normal)
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, normal(inner)]))
  return value
}

const { value: plain } = fc.letrec<{ value: unknown }>(tie => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    // Minus zero comes back as zero, like any whole number in its shortest form.
    fc.double({ noNaN: true }).filter(value => !Object.is(value, -0)),
    fc.string({ unit: 'grapheme' }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter(key => key !== '__proto__'),
      tie('value'),
      { maxKeys: 20, noNullPrototype: true },
    ),
  ),
}))

describe('what is encoded', () => {
  it('comes back as it was', () => {
    fc.assert(
      fc.property(plain, value => {
        expect(normal(decode(encode(value), LIMIT))).toEqual(value)
      }),
      { numRuns: 500 },
    )
  })

  it('is the same bytes each time', () => {
    fc.assert(
      fc.property(plain, value => {
        const bytes = encode(value)
        encode({ something: 'else' })
        expect(encode(value)).toEqual(bytes)
      }),
    )
  })

  it('is left as it is by decoding it', () => {
    const bytes = Uint8Array.from(encode(['x', Uint8Array.of(1)]))
    decode(bytes, LIMIT)
    expect(bytes).toEqual(Uint8Array.from(encode(['x', Uint8Array.of(1)])))
  })

  it('stays as it is while other things are encoded', () => {
    const bytes = encode(['first'])
    const before = Buffer.from(bytes).toString('hex')
    for (let i = 0; i < 1000; i++) encode([`other ${i}`, new Uint8Array(1000)])
    expect(Buffer.from(bytes).toString('hex')).toBe(before)
  })

  it.each([
    ['lengths of every width', [0, 31, 32, 255, 256, 65_535, 65_536].map(n => ['x'.repeat(n), new Uint8Array(n)])],
    ['lists of every width', [0, 15, 16, 65_536].map(n => Array(n).fill(7))],
    [
      'maps of every width',
      [0, 15, 16, 32_000].map(n => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]))),
    ],
    [
      'numbers of every width',
      [
        0,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        2 ** 32,
        2 ** 53 - 1,
        -1,
        -32,
        -33,
        -128,
        -129,
        -32_769,
        -(2 ** 31) - 1,
        1.5,
        Infinity,
      ],
    ],
  ])('comes back: %s', (_, value) => {
    expect(normal(decode(encode(value), 1 << 26))).toEqual(value)
  })
})

describe('garbage', () => {
  const fleetErrorOrValue = (bytes: Uint8Array): void => {
    try {
      decode(bytes, LIMIT)
    } catch (error) {
      expect(error).toBeInstanceOf(FleetError)
      expect((error as FleetError).code).toBe('corrupt')
    }
  }

  it('never throws anything but a FleetError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), fleetErrorOrValue), { numRuns: 5000 })
  })

  it('made of good bytes with some changed never throws anything but a FleetError', () => {
    fc.assert(
      fc.property(
        plain,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        (value, changes) => {
          const bytes = encode(value)
          for (const [where, byte] of changes) bytes[where % bytes.length] = byte
          fleetErrorOrValue(bytes)
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('is refused at every place where a message may be cut, and with anything behind it', () => {
    fc.assert(
      fc.property(plain, fc.uint8Array({ minLength: 1, maxLength: 4 }), (value, more) => {
        const bytes = encode(value)
        for (let end = 0; end < Math.min(bytes.length, 200); end++) refused(bytes.subarray(0, end))
        refused(Buffer.concat([bytes, more]))
      }),
    )
  })
})

describe('a message that would cost more than it weighs', () => {
  it('is refused over the limit before it is looked at', () => {
    expect(thrown(() => decode(new Uint8Array(11).fill(0xc1), 10))).toEqual(
      refusal('too-large', /11 bytes .* limit of 10/),
    )
    expect(decode(encode('12345678'), 9)).toBe('12345678')
  })

  it('cannot hold more than 262 144 values, in one list or in many', () => {
    const most = 256 * 1024
    const list = (count: number) => Array.from({ length: count }, () => null)
    expect(decode(encode(list(most)), LIMIT)).toHaveLength(most)
    refused(encode(list(most + 1)), 'corrupt', /more than 262144 values/)
    refused(encode([list(most / 2), list(most / 2)]), 'corrupt', /more than 262144 values/)
  })

  it('cannot hold more than 32 768 entries of maps', () => {
    const map = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, null]))
    expect(Object.keys(decode(encode(map(32_768)), LIMIT) as object)).toHaveLength(32_768)
    refused(encode(map(32_769)), 'corrupt', /more than 32768 entries/)
    refused(encode([map(20_000), map(20_000)]), 'corrupt', /more than 32768 entries/)
  })

  it('cannot be nested deeper than 16, in lists or in maps', () => {
    const lists = (depth: number): Uint8Array => Uint8Array.from([...Array<number>(depth).fill(0x91), 0xc0])
    const maps = (depth: number): Uint8Array => hex(`${'81a161'.repeat(depth)}c0`)
    expect(decode(lists(16), LIMIT)).toBeDefined()
    expect(decode(maps(16), LIMIT)).toBeDefined()
    for (const depth of [17, 1000, 300_000]) {
      refused(lists(depth), 'corrupt', /nested deeper than 16/)
      refused(maps(depth), 'corrupt', /nested deeper than 16/)
    }
  })

  it.each([
    ['a list of 4 billion', 'ddffffffff'],
    ['a list of 16 million, a hundred times nested', 'dd00ffffff'.repeat(100)],
    ['a map of 4 billion', 'dfffffffff'],
    ['text of 4 GiB', 'dbffffffff'],
    ['bytes of 4 GiB', 'c6ffffffff'],
  ])('cannot claim to be %s', (_, text) => {
    refused(hex(text), 'corrupt', /cut short/)
  })
})

describe('extension types', () => {
  it.each([
    ['undefined', 'd40000'],
    ['a date', 'd6ff00000000'],
    ['a record definition', 'd4724091a16101'],
    ['a set', 'd67392010203'],
    ['a regular expression', 'c7057892a161a0'],
    ['an error', 'c70a6593a54572726f72a161c0'],
    ['a typed array', 'c705740101020304'],
    ['a reference', 'd67000000001'],
    ['a bundle of text', 'd66200000001'],
    ['one that nobody knows', 'c7015000'],
    ['the tag that the specification never uses', 'c1'],
  ])('are refused: %s', (_, text) => {
    refused(hex(text), 'corrupt', /extension type/)
    refused(hex(`92 01 ${text}`), 'corrupt', /extension type/)
    refused(hex(`81 a161 ${text}`), 'corrupt', /extension type/)
  })

  it('are refused wherever another encoder would put them', () => {
    const rich = new Packr({ moreTypes: true, structuredClone: true })
    for (const value of [
      new Date(0),
      new Set([1]),
      /a/,
      new Map([[1, new Date(0)]]),
      new Error('x'),
      new Uint16Array(4),
      undefined,
    ])
      refused(Uint8Array.from(rich.encode([value])))
    const shared = new Packr({ useRecords: true })
    refused(Uint8Array.from(shared.encode([{ a: 1 }, { a: 2 }])))
  })

  it('make nobody compile code out of a stranger’s bytes', () => {
    const real = globalThis.Function
    let compiled = 0
    globalThis.Function = new Proxy(real, {
      construct(target, args) {
        compiled += 1
        return Reflect.construct(target, args)
      },
    })
    try {
      const message = hex(`dc00c8 d4724092a161a1620102 ${'400102'.repeat(199)}`)
      // The decoder beneath does it, so the one in front of it is what keeps it away.
      new Packr({ useRecords: false }).decode(message)
      expect(compiled).toBeGreaterThan(0)
      compiled = 0
      refused(message)
      expect(compiled).toBe(0)
    } finally {
      globalThis.Function = real
    }
  })

  it('leave nothing behind for the message after', () => {
    refused(hex('d4724091a16101'))
    expect(decode(encode([64, 65, 'x']), LIMIT)).toEqual([64, 65, 'x'])
  })
})

describe('keys of maps', () => {
  it('do not reach the prototype', () => {
    const value = decode(hex('81 a9 5f5f70726f746f5f5f 81 a161 01'), LIMIT) as object
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype)
    expect('a' in value).toBe(false)
    expect(({} as { a?: unknown }).a).toBeUndefined()
  })
})
