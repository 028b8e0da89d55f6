import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAtlas } from '../../membership/atlas.ts'
import { createTable, type Table } from '../../membership/table.ts'
import type { NodeId } from '../../protocol/index.ts'
import { dismissal, nodeNumber, record, suspicion, vitals } from './support.ts'

type Op = (table: Table) => void

const node = fc.integer({ min: 1, max: 3 }).map(nodeNumber)
const small = fc.integer({ min: 1, max: 3 })
const anyRecord = fc
  .record({ node, epoch: small, seq: small, left: fc.boolean(), tag: fc.integer({ min: 0, max: 1 }) })
  .map(({ node: id, epoch, seq, left, tag }): Op => {
    const statement = record(id, { epoch, seq, presence: left ? 'left' : 'here', tags: { tag: String(tag) } })
    return table => table.mergeRecord(statement)
  })
const anyVitals = fc
  .record({ node, epoch: small, seq: small, reason: fc.constantFrom('', 'x') })
  .map(({ node: id, ...rest }): Op => {
    const statement = vitals(id, rest)
    return table => table.mergeVitals(statement)
  })
const anySuspicion = fc
  .record({ node, observer: fc.integer({ min: 4, max: 6 }), epoch: small, seq: small, refused: fc.boolean() })
  .map(({ node: id, observer, epoch, seq, refused }): Op => {
    const statement = suspicion(id, { epoch, seq, evidence: refused ? 'refused' : 'silence' })
    return table => table.mergeSuspicion(statement, nodeNumber(observer))
  })
const anyDismissal = fc
  .record({ node, epoch: small, seq: small, left: fc.boolean(), prune: fc.boolean() })
  .map(({ node: id, left, ...rest }): Op => {
    const statement = dismissal(id, { ...rest, presence: left ? 'left' : 'here' })
    return table => table.mergeDismissal(statement)
  })
const anyDocument = fc.integer({ min: 0, max: 3 }).map((index): Op => {
  const id = record(nodeNumber(100 + index)).id
  return table => table.addDocument(id, Uint8Array.of(index))
})
const ops = fc.array(fc.oneof(anyRecord, anyVitals, anySuspicion, anyDismissal, anyDocument), { maxLength: 30 })

const held = (table: Table): unknown => ({
  digests: table.digests(),
  documents: [...table.documents.keys()].sort(),
  entries: [...table.entries.values()]
    .map(entry => [
      entry.node,
      entry.record.id,
      entry.vitals?.id,
      [...entry.suspicions].map(([observer, { id }]) => [observer, id]).sort(),
      entry.dismissals.map(({ id }) => id),
    ])
    .sort(),
})
const tableOf = (list: readonly Op[]): Table => {
  const table = createTable(createAtlas())
  for (const op of list) op(table)
  return table
}

test('whatever the order and however often statements come, the same ones make the same table', () => {
  fc.assert(
    fc.property(
      ops.chain(list => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }), ops)),
      ([list, shuffled]) => {
        expect(held(tableOf([...shuffled, ...list.slice(0, 5), ...shuffled]))).toEqual(held(tableOf(list)))
      },
    ),
  )
})

test('the digests kept while merging are those of a table that was built from what is held', () => {
  fc.assert(
    fc.property(ops, list => {
      const table = tableOf(list)
      const again = createTable(createAtlas())
      for (const [id, bytes] of table.documents) again.addDocument(id, bytes)
      for (const entry of table.entries.values()) {
        again.mergeRecord(entry.record)
        if (entry.vitals !== undefined) again.mergeVitals(entry.vitals)
        for (const [observer, each] of entry.suspicions) again.mergeSuspicion(each, observer)
        for (const each of entry.dismissals) again.mergeDismissal(each)
      }
      expect(again.digests()).toEqual(table.digests())
      for (const id of [...table.entries.values()].map(entry => entry.node)) table.remove(id)
      for (const id of [...table.documents.keys()]) table.removeDocument(id)
      expect(table.digests().every(sum => sum === 0)).toBe(true)
    }),
  )
})

test('of two records that claim one version all settle on the same', () => {
  const [a, b] = [record(nodeNumber(1), { name: 'a' }), record(nodeNumber(1), { name: 'b' })]
  const one = createTable(createAtlas())
  one.mergeRecord(a)
  one.mergeRecord(b)
  const other = createTable(createAtlas())
  other.mergeRecord(b)
  other.mergeRecord(a)
  expect(one.entries.get(nodeNumber(1))!.record.id).toBe(other.entries.get(nodeNumber(1))!.record.id)
  expect(one.digests()).toEqual(other.digests())
})

test('who left in an epoch does not come back in it, and does in the next', () => {
  const table = createTable(createAtlas())
  const id: NodeId = nodeNumber(1)
  table.mergeRecord(record(id, { seq: 2, presence: 'left' }))
  expect(table.mergeRecord(record(id, { seq: 9 }))).toBe(false)
  expect(table.mergeRecord(record(id, { epoch: 2 }))).toBe(true)
})

test('a newer record refutes the suspicions of the older one and keeps those of itself', () => {
  const table = createTable(createAtlas())
  const id = nodeNumber(1)
  table.mergeRecord(record(id))
  table.mergeSuspicion(suspicion(id), nodeNumber(2))
  table.mergeSuspicion(suspicion(id, { seq: 2 }), nodeNumber(3))
  table.mergeRecord(record(id, { seq: 2 }))
  expect([...table.entries.get(id)!.suspicions.keys()]).toEqual([nodeNumber(3)])
})
