import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  AUDIT_KINDS,
  type AuditReport,
  type AuditWhat,
  auditGenesis,
  createAuditCheck,
  generateKeyPair,
  MAX_AUDIT_LINE,
  type Millis,
  nextEntry,
  nodeIdOf,
  readLine,
  type SignedHead,
} from '../../protocol/index.ts'

const node = nodeIdOf(generateKeyPair().publicKey)

const what: fc.Arbitrary<AuditWhat> = fc.record({
  kind: fc.constantFrom(...AUDIT_KINDS.filter(kind => kind !== 'log-trimmed')),
  subject: fc.string({ maxLength: 20, unit: 'grapheme' }),
  by: fc.string({ maxLength: 10 }),
  text: fc.string({ maxLength: 40, unit: 'binary' }),
  detail: fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 20 }), { maxKeys: 4 }),
})

interface Log {
  readonly lines: string[]
  readonly heads: SignedHead[]
}

function logOf(whats: readonly AuditWhat[], owner = node): Log {
  let tail = { seq: 0, hash: auditGenesis(owner) }
  const lines: string[] = []
  const heads: SignedHead[] = []
  for (const [at, each] of whats.entries()) {
    const next = nextEntry(tail, (1_000 + at) as Millis, each)
    tail = next.tail
    lines.push(next.line)
    heads.push({ ...tail, at: (1_000 + at) as Millis })
  }
  return { lines, heads }
}
const log = (min = 1): fc.Arbitrary<Log> => fc.array(what, { minLength: min, maxLength: 8 }).map(whats => logOf(whats))

function examine(lines: readonly string[], heads: readonly SignedHead[] = []): AuditReport {
  const check = createAuditCheck(node, heads)
  for (const line of lines) check.take(line)
  return check.end()
}

describe('an audit log', () => {
  it('is good as its node wrote it, and reads as what was written', () => {
    fc.assert(
      fc.property(log(), ({ lines, heads }) => {
        const report = examine(lines, heads)
        expect(report).toMatchObject({ first: 1, last: lines.length, entries: lines.length, heads: lines.length })
        expect(report.problems).toEqual([])
      }),
    )
  })

  it('takes the longest entry, and cuts what is longer', () => {
    const long = '\u0001'.repeat(5_000)
    const detail = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`${index}${long}`, long]))
    const { line } = nextEntry({ seq: 0, hash: auditGenesis(node) }, 1 as Millis, {
      ...{ kind: 'taint', subject: long, by: long, text: long, detail },
    })
    expect(line.length).toBeLessThan(MAX_AUDIT_LINE)
    expect(readLine(line).entry?.text).toHaveLength(1_024)
  })

  it('names the entry of a byte that was changed, whichever byte and whatever it became', () => {
    fc.assert(
      fc.property(log(), fc.nat(), fc.integer({ min: 1, max: 255 }), ({ lines }, place, flip) => {
        const bytes = Buffer.from(lines.map(line => `${line}\n`).join(''))
        const at = place % bytes.byteLength
        const changed = bytes.subarray(0, at).filter(byte => byte === 10).byteLength + 1
        bytes[at]! ^= flip
        // Whoever reads a file without a last line's end has a torn entry before him, which is the file's business.
        const { problems } = examine(
          bytes
            .toString()
            .split('\n')
            .filter(line => line !== ''),
        )
        const lastEnd = at === bytes.byteLength - 1
        if (!lastEnd) expect(problems[0]?.entry).toBe(changed)
      }),
      { numRuns: 300 },
    )
  })

  it('shows entries that were taken out, told twice or put in another order', () => {
    fc.assert(
      fc.property(log(3), fc.nat(), fc.nat(), ({ lines }, one, other) => {
        const a = one % (lines.length - 1)
        const b = a + 1 + (other % (lines.length - 1 - a))
        if (a > 0) expect(examine(lines.toSpliced(a, 1)).problems[0]?.entry).toBe(a + 1)
        expect(examine(lines.toSpliced(b, 0, lines[a]!)).problems.length).toBeGreaterThan(0)
        expect(examine(lines.with(a, lines[b]!).with(b, lines[a]!)).problems.length).toBeGreaterThan(0)
      }),
    )
  })

  it('shows a beginning that is missing, unless an entry says that it was let go', () => {
    const whats = Array.from(
      { length: 4 },
      (): AuditWhat => ({ kind: 'taint', subject: '', by: '', text: '', detail: {} }),
    )
    const { lines, heads } = logOf(whats)
    expect(examine(lines.slice(2)).problems).toEqual([
      { entry: 1, problem: 'entries 1 to 2 are missing, and no entry says that they were let go' },
    ])
    const said = nextEntry(heads[3]!, 5 as Millis, {
      ...{ kind: 'log-trimmed', subject: '', by: '', text: 'let go' },
      detail: { from: '1', to: '2', hash: heads[1]!.hash },
    })
    expect(examine([...lines.slice(2), said.line], heads)).toMatchObject({ first: 3, last: 5, problems: [] })
  })

  it('shows with one kept head that its end was cut off', () => {
    fc.assert(
      fc.property(log(2), fc.nat(), ({ lines, heads }, cut) => {
        const left = 1 + (cut % (lines.length - 1))
        expect(examine(lines.slice(0, left)).problems).toEqual([])
        expect(examine(lines.slice(0, left), heads).problems).toMatchObject([{ entry: left + 1 }])
      }),
    )
  })

  it('shows with one kept head behind it that an entry was written anew, with all hashes made right', () => {
    fc.assert(
      fc.property(fc.array(what, { minLength: 2, maxLength: 8 }), fc.nat(), fc.nat(), (whats, place, kept) => {
        const { heads } = logOf(whats)
        const at = place % whats.length
        const forged = logOf(whats.with(at, { ...whats[at]!, text: `${whats[at]!.text}x` }))
        expect(examine(forged.lines).problems).toEqual([])
        const head = heads[at + (kept % (whats.length - at))]!
        expect(examine(forged.lines, [head]).problems).toMatchObject([
          { entry: head.seq, problem: expect.stringContaining('was rewritten') },
        ])
      }),
    )
  })

  it('is not that of another node', () => {
    const other = logOf(
      [{ kind: 'started', subject: '', by: '', text: '', detail: {} }],
      nodeIdOf(generateKeyPair().publicKey),
    )
    expect(examine(other.lines).problems).toMatchObject([{ entry: 1 }])
  })

  it('is read without a throw from any text', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'binary' })), lines => {
        examine(lines)
      }),
    )
  })
})
