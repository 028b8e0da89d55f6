import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createPuller, itemFrames, keysFor, lackedBy, offerFor } from '../../membership/antientropy.ts'
import { createAtlas } from '../../membership/atlas.ts'
import { encodeFrame, type Frame, MAX_WANTED } from '../../membership/frames.ts'
import { createTable, type Table } from '../../membership/table.ts'
import {
  type Digest,
  documentId,
  LIMITS,
  millis,
  type NodeId,
  type NodeRecord,
  type Statement,
} from '../../protocol/index.ts'
import { nodeNumber, record, T0 } from './support.ts'

const now = millis(T0)
const [A, B] = [nodeNumber(1), nodeNumber(2)]

/** Carries frames between two tables until none is left. Counts items and bytes. */
function exchange(
  a: Table,
  b: Table,
  said: ReadonlyMap<string, Statement<NodeRecord>>,
): { items: number; bytes: number } {
  const cost = { items: 0, bytes: 0 }
  const sides = [
    { table: a, puller: createPuller(), other: B },
    { table: b, puller: createPuller(), other: A },
  ] as const
  const inbox: [to: 0 | 1, frame: Frame][] = [[1, { type: 'digest', digests: a.digests() }]]
  for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) {
    const [to, frame] = next
    const { table, puller, other } = sides[to]
    const reply = (each: Frame | undefined): void => {
      if (each !== undefined) inbox.push([to === 0 ? 1 : 0, each])
    }
    const { byteLength } = encodeFrame(frame)
    cost.bytes += byteLength
    expect(byteLength).toBeLessThan(LIMITS.linkFrame)
    switch (frame.type) {
      case 'digest':
        keysFor(table, frame.digests).forEach(reply)
        break
      case 'keys':
        reply(puller.ask(now, other, lackedBy(table, frame)))
        reply(offerFor(table, frame))
        break
      case 'offer':
        reply(puller.ask(now, other, lackedBy(table, frame)))
        break
      case 'want':
        itemFrames(table, frame).forEach(reply)
        break
      case 'items':
        for (const [kind, bytes] of frame.items) {
          cost.items += 1
          if (kind === 'document') table.addDocument(documentId(bytes), bytes)
          else table.mergeRecord(said.get(documentId(bytes))!)
        }
        if (frame.last) reply(puller.answered(now, other))
        break
      default:
        throw new Error(`unexpected ${frame.type}`)
    }
  }
  return cost
}

test('two tables are the same after one exchange, whatever either held', () => {
  const pile = fc.array(fc.record({ node: fc.nat({ max: 300 }), seq: fc.integer({ min: 1, max: 3 }) }), {
    maxLength: 200,
  })
  const docs = fc.array(fc.nat({ max: 30 }), { maxLength: 20 })
  fc.assert(
    fc.property(pile, pile, docs, docs, (mine, theirs, myDocs, theirDocs) => {
      const said = new Map<string, Statement<NodeRecord>>()
      const fill = (table: Table, list: typeof mine, documents: readonly number[]): void => {
        for (const { node, seq } of list) {
          const statement = record(nodeNumber(node), { seq })
          said.set(documentId(statement.bytes), statement)
          table.mergeRecord(statement)
        }
        for (const each of documents) {
          const bytes = Buffer.from(`document ${each}`)
          table.addDocument(documentId(bytes), bytes)
        }
      }
      const [a, b] = [createTable(createAtlas()), createTable(createAtlas())]
      fill(a, mine, myDocs)
      fill(b, theirs, theirDocs)
      exchange(a, b, said)
      expect(a.digests()).toEqual(b.digests())
      expect(a.entries.size).toBe(b.entries.size)
      expect(a.documents.size).toBe(b.documents.size)
    }),
    { numRuns: 40 },
  )
})

test('what goes over the link is in proportion to the difference, not to the fleet', () => {
  const said = new Map<string, Statement<NodeRecord>>()
  const [a, b] = [createTable(createAtlas()), createTable(createAtlas())]
  for (let index = 0; index < 2_000; index++) {
    const statement = record(nodeNumber(index))
    said.set(documentId(statement.bytes), statement)
    a.mergeRecord(statement)
    b.mergeRecord(statement)
  }
  expect(exchange(a, b, said)).toMatchObject({ items: 0 })
  const news = record(nodeNumber(77), { seq: 2 })
  said.set(documentId(news.bytes), news)
  a.mergeRecord(news)
  const { items, bytes } = exchange(a, b, said)
  expect(items).toBe(1)
  expect(bytes).toBeLessThan(10_000)
})

test('what two offer is asked of one of them, and of the other once the first is gone', () => {
  const puller = createPuller()
  const names = { members: [nodeNumber(5)], documents: [] }
  expect(puller.ask(now, A, names)).toMatchObject({ type: 'want', members: [nodeNumber(5)] })
  expect(puller.ask(now, B, names)).toBeUndefined()
  puller.drop(A)
  expect(puller.missed(now)).toBe(true)
  expect(puller.ask(now, B, names)).toMatchObject({ type: 'want', members: [nodeNumber(5)] })
})

test('who does not send what was wanted is given up on', () => {
  const puller = createPuller()
  const names = { members: [nodeNumber(5)], documents: [] }
  puller.ask(now, A, names)
  const late = millis(puller.nextAt())
  expect(puller.missed(millis(late - 1))).toBe(false)
  expect(puller.missed(late)).toBe(true)
  expect(puller.busy()).toBe(false)
})

test('much is asked for in small wants, the next when the last has come', () => {
  const puller = createPuller()
  const members: NodeId[] = Array.from({ length: MAX_WANTED + 10 }, (_, index) => nodeNumber(index))
  const first = puller.ask(now, A, { members, documents: [] as Digest[] })
  const second = puller.answered(now, A)
  expect(first).toMatchObject({ members: members.slice(0, MAX_WANTED) })
  expect(second).toMatchObject({ members: members.slice(MAX_WANTED) })
  expect(puller.answered(now, A)).toBeUndefined()
  expect(puller.busy()).toBe(false)
})

test('one want is answered with what a link has room for, each thing once, and not as if that were all', () => {
  const table = createTable(createAtlas())
  const ids = Array.from({ length: 20 }, (_, at) => {
    const bytes = new Uint8Array(256 * 1024).fill(at)
    table.addDocument(documentId(bytes), bytes)
    return documentId(bytes)
  })
  const once = itemFrames(table, { members: [], documents: [ids[0]!, ids[0]!, ids[0]!] })
  expect(once.flatMap(frame => (frame.type === 'items' ? frame.items : []))).toHaveLength(1)
  expect(once.at(-1)).toMatchObject({ last: true })
  const frames = itemFrames(table, { members: [], documents: ids })
  expect(frames.flatMap(frame => (frame.type === 'items' ? frame.items : []))).toHaveLength(8)
  expect(frames.some(frame => frame.type === 'items' && frame.last)).toBe(false)
})
