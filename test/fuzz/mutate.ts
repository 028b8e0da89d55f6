import { encode, type Random } from '../../protocol/index.ts'
import { parse, print, type Tree } from './tree.ts'

/** Numbers at the borders of what msgpack, JavaScript and our schemas tell apart. */
const NUMBERS: readonly Tree[] = [
  ...[0, -0, 1, -1, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 2 ** 32],
  ...[Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER + 1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 5e-324],
  ...[2n ** 63n - 1n, 2n ** 64n - 1n, -(2n ** 63n)],
]
const TEXTS: readonly string[] = [
  ...[
    '',
    '*',
    '.',
    '-',
    '/',
    '__proto__',
    'constructor',
    'toString',
    'prototype',
    'length',
    'then',
    '\u0000',
    '\ud800',
  ],
  ...['/ip4/127.0.0.1/tcp/1', '0'.repeat(64), `12D3Koo${'1'.repeat(45)}`, 'a.'.repeat(64), '🦆'.repeat(50)],
]

/** Another input, made of this one. `others`: the rest of the corpus, to take parts from. */
export function mutate(random: Random, input: Uint8Array, others: readonly Uint8Array[], maxBytes: number): Uint8Array {
  let bytes = input
  for (let times = 1 + random.int(3); times > 0; times--) {
    const tree = random.int(3) > 0 ? parse(bytes) : undefined
    bytes = tree === undefined ? scramble(random, bytes, others) : print(reshape(random, tree, others, maxBytes))
  }
  return bytes.byteLength > maxBytes ? bytes.slice(0, maxBytes) : bytes
}

/** Mutations that know nothing of msgpack. */
function scramble(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const at = bytes.byteLength === 0 ? 0 : random.int(bytes.byteLength)
  const until = Math.min(bytes.byteLength, at + 1 + random.int(16))
  const join = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(Buffer.concat(parts))
  switch (random.int(8)) {
    case 0:
      if (copy.byteLength > 0) copy[at]! ^= 1 << random.int(8)
      return copy
    case 1:
      if (copy.byteLength > 0) copy[at] = random.int(256)
      return copy
    case 2:
      return copy.slice(0, at)
    case 3:
      return join(copy.subarray(0, at), copy.subarray(until))
    case 4:
      return join(copy.subarray(0, until), copy.subarray(at))
    case 5: {
      const other = random.pick(others) ?? copy
      return join(copy.subarray(0, at), other.subarray(other.byteLength === 0 ? 0 : random.int(other.byteLength)))
    }
    case 6:
      return join(
        copy.subarray(0, at),
        Uint8Array.from({ length: 1 + random.int(8) }, () => random.int(256)),
        copy.subarray(at),
      )
    default: {
      // A length of 1, 2 or 4 bytes that nothing bears out.
      const tag = random.pick([0xc4, 0xc5, 0xc6, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf, 0xc7, 0xd4, 0xc1])!
      return join(copy.subarray(0, at), Uint8Array.of(tag, 0xff, 0xff, 0xff, 0xff), copy.subarray(until))
    }
  }
}

/** Changes one place of a msgpack value, chosen at random, also inside byte strings that are msgpack themselves. */
function reshape(random: Random, tree: Tree, others: readonly Uint8Array[], maxBytes: number): Tree {
  if (random.int(8) === 0) return change(random, tree, others, maxBytes)
  if (tree instanceof Uint8Array) {
    const inner = tree.byteLength > 1 ? parse(tree) : undefined
    if (typeof inner === 'object' && inner !== null) return print(reshape(random, inner, others, maxBytes))
  }
  if (Array.isArray(tree) && tree.length > 0) {
    const at = random.int(tree.length)
    return tree.map((item, index) => (index === at ? reshape(random, item, others, maxBytes) : item))
  }
  if (tree instanceof Map && tree.size > 0) {
    const at = random.int(tree.size)
    return new Map(
      [...tree].map(([key, item], index) => [key, index === at ? reshape(random, item, others, maxBytes) : item]),
    )
  }
  return change(random, tree, others, maxBytes)
}

function change(random: Random, tree: Tree, others: readonly Uint8Array[], maxBytes: number): Tree {
  if (random.int(3) === 0) return anything(random, others)
  if (Array.isArray(tree)) return changeArray(random, tree, others, maxBytes)
  if (tree instanceof Map) return changeMap(random, tree, others, maxBytes)
  if (typeof tree === 'string') return changeText(random, tree, maxBytes)
  if (tree instanceof Uint8Array)
    return random.int(4) === 0 ? Buffer.from(tree).toString('latin1') : Uint8Array.from(scramble(random, tree, others))
  if (typeof tree === 'number' && random.int(2) === 0) return tree + random.int(3) - 1
  return random.pick(NUMBERS)!
}

function changeArray(random: Random, tree: Tree[], others: readonly Uint8Array[], maxBytes: number): Tree {
  const at = tree.length === 0 ? 0 : random.int(tree.length)
  switch (random.int(6)) {
    case 0:
      return tree.toSpliced(at, 1)
    case 1:
      return tree.toSpliced(at, 0, tree[at] ?? null)
    case 2:
      return random.shuffle(tree)
    case 3:
      return tree.toSpliced(at, 0, anything(random, others))
    case 4:
      return new Map<Tree, Tree>(tree.map((item, index) => [String(index), item]))
    default:
      return inflate(random, tree[at] ?? null, maxBytes)
  }
}

/** As many copies of an item as fit, or about as many as a limit may allow. */
function inflate(random: Random, item: Tree, maxBytes: number): Tree[] {
  const size = Math.max(1, print(item).byteLength)
  const most = Math.floor(maxBytes / size / 2)
  const count = random.int(64) === 0 ? most : Math.min(most, random.pick([2, 8, 9, 65, 129, 1025, 4097])!)
  return new Array<Tree>(count).fill(item)
}

function changeMap(random: Random, tree: Map<Tree, Tree>, others: readonly Uint8Array[], maxBytes: number): Tree {
  const entries = [...tree]
  const at = entries.length === 0 ? 0 : random.int(entries.length)
  switch (random.int(6)) {
    case 0:
      return new Map(entries.toSpliced(at, 1))
    case 1:
      return new Map([...entries, [random.pick(TEXTS)!, anything(random, others)]])
    case 2:
      return new Map(entries.map(([key, value], index) => [index === at ? random.pick(TEXTS)! : key, value]))
    case 3:
      return entries.map(([, value]) => value)
    case 4:
      return new Map(random.shuffle(entries))
    default: {
      const [, value = null] = entries[at] ?? []
      const most = Math.floor(maxBytes / (6 + print(value).byteLength))
      const count = random.int(64) === 0 ? most : Math.min(most, 100)
      return new Map([...entries, ...Array.from({ length: count }, (_, i) => [`k${i}`, value] as const)])
    }
  }
}

function changeText(random: Random, text: string, maxBytes: number): Tree {
  const at = text.length === 0 ? 0 : random.int(text.length)
  switch (random.int(6)) {
    case 0:
      return text.slice(0, at)
    case 1:
      return text.slice(0, at) + random.pick(TEXTS)! + text.slice(at)
    case 2:
      return Uint8Array.from(Buffer.from(text))
    case 3:
      return text.toUpperCase()
    case 4:
      // What makes a regular expression that backtracks do so: a long run of what fits, and an end that does not.
      return (
        (text[at] ?? 'a').repeat(
          Math.min(random.pick([40, 200, 5_000, random.int(16) === 0 ? 200_000 : 1_000])!, maxBytes),
        ) + '\n'
      )
    default:
      return random.pick(TEXTS)!
  }
}

function anything(random: Random, others: readonly Uint8Array[]): Tree {
  switch (random.int(8)) {
    case 0:
      return null
    case 1:
      return random.int(2) === 0
    case 2:
      return []
    case 3:
      return new Map<Tree, Tree>([[random.pick(TEXTS)!, random.pick(NUMBERS)!]])
    case 4:
      return random.pick(TEXTS)!
    case 5:
      return encode(random.pick(TEXTS)!)
    case 6: {
      const other = parse(random.pick(others) ?? new Uint8Array())
      return other === undefined ? [] : ((Array.isArray(other) ? random.pick(other) : other) ?? null)
    }
    default:
      return random.pick(NUMBERS)!
  }
}
