import fc from 'fast-check'
import { expect, test } from 'vitest'
import { COALESCE, type Coalescer, createCoalescer, lastOfMember } from '../../membership/coalesce.ts'
import { millis } from '../../protocol/index.ts'

interface Item {
  readonly key: string
  readonly value: number
}

const arrivals = fc.array(
  fc.record({ gap: fc.integer({ min: 0, max: 2_500 }), key: fc.constantFrom('a', 'b', 'c', 'd') }),
  { maxLength: 60 },
)

/** Runs a schedule of arrivals, looking whenever something is due. Gives each handing on with its time. */
function play(coalescer: Coalescer<Item>, schedule: readonly { gap: number; key: string }[]) {
  const handed: { at: number; items: Item[] }[] = []
  const given: { at: number; item: Item }[] = []
  const look = (at: number): void => {
    const items = coalescer.due(millis(at))
    if (items.length > 0) handed.push({ at, items })
  }
  let now = 0
  for (const [value, { gap, key }] of schedule.entries()) {
    const next = now + gap
    while (coalescer.nextAt() <= next) look(coalescer.nextAt())
    now = next
    const item = { key, value }
    given.push({ at: now, item })
    expect(coalescer.add(millis(now), item)).toEqual([])
  }
  while (coalescer.nextAt() < Number.POSITIVE_INFINITY) look(coalescer.nextAt())
  return { handed, given }
}

test('each handing on has exactly the last of each key since the one before, in the order they came', () => {
  fc.assert(
    fc.property(arrivals, schedule => {
      const { handed, given } = play(
        createCoalescer<Item>(item => item.key, COALESCE),
        schedule,
      )
      let from = 0
      for (const { items } of handed) {
        const until = Math.max(...items.map(item => item.value))
        const slice = given.slice(from, until + 1).map(({ item }) => item)
        const last = new Map(slice.map(item => [item.key, item]))
        expect(items).toEqual([...last.values()].sort((a, b) => a.value - b.value))
        from = until + 1
      }
      expect(from).toBe(given.length)
    }),
  )
})

test('nothing waits longer than the period, or than the quiet behind it', () => {
  fc.assert(
    fc.property(arrivals, schedule => {
      const { handed, given } = play(
        createCoalescer<Item>(item => item.key, COALESCE),
        schedule,
      )
      let from = 0
      for (const { at, items } of handed) {
        const until = Math.max(...items.map(item => item.value))
        expect(at).toBe(Math.min(given[from]!.at + COALESCE.period, given[until]!.at + COALESCE.quiescent))
        from = until + 1
      }
    }),
  )
})

test('a member that failed and came back within the period is told of as joined, and never again', () => {
  const coalescer = createCoalescer<{ event: string; id: string }>(({ id }) => id, { ...COALESCE, merge: lastOfMember })
  coalescer.add(millis(0), { event: 'failed', id: 'x' })
  coalescer.add(millis(500), { event: 'join', id: 'x' })
  expect(coalescer.due(millis(1_500))).toEqual([{ event: 'join', id: 'x' }])
  coalescer.add(millis(9_000), { event: 'update', id: 'y' })
  expect(coalescer.due(millis(10_000))).toEqual([{ event: 'update', id: 'y' }])
})

test('an update does not hide the join before it, and brings the newer view', () => {
  const coalescer = createCoalescer<{ event: string; id: string; view: number }>(({ id }) => id, {
    ...COALESCE,
    merge: lastOfMember,
  })
  coalescer.add(millis(0), { event: 'join', id: 'x', view: 1 })
  coalescer.add(millis(1), { event: 'update', id: 'x', view: 2 })
  expect(coalescer.flush()).toEqual([{ event: 'join', id: 'x', view: 2 }])
})

test('more keys than are gathered at most make all of them be handed on', () => {
  const coalescer = createCoalescer<string>(key => key, COALESCE)
  for (let index = 0; index < 4_096; index++) expect(coalescer.add(millis(0), `k${index}`)).toEqual([])
  expect(coalescer.add(millis(0), 'one more')).toHaveLength(4_096)
  expect(coalescer.flush()).toEqual(['one more'])
})
