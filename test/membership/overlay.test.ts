import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createAtlas } from '../../membership/atlas.ts'
import { createOverlay } from '../../membership/overlay.ts'
import { createRings, placeOf, RINGS } from '../../membership/rings.ts'
import type { NodeId } from '../../protocol/index.ts'
import { nodeNumber } from './support.ts'

const nodes = (count: number, from = 0): NodeId[] =>
  Array.from({ length: count }, (_, index) => nodeNumber(from + index))
const overlayOf = (self: NodeId, live: readonly NodeId[], lost: readonly NodeId[] = []) => {
  const overlay = createOverlay(self, createAtlas())
  for (const node of live) overlay.put(node, 'live')
  for (const node of lost) overlay.put(node, 'lost')
  return overlay
}

test('rings answer as a sorted list does, through any adding and removing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat({ max: 12 })), { maxLength: 60 }),
      fc.nat({ max: 14 }),
      (changes, asked) => {
        const rings = createRings(createAtlas())
        const model = new Set<NodeId>()
        for (const [add, index] of changes) {
          const node = nodeNumber(index)
          if (add) rings.add(node)
          else rings.remove(node)
          if (add) model.add(node)
          else model.delete(node)
        }
        const place = placeOf(nodeNumber(asked))
        for (let ring = 0; ring < RINGS; ring++) {
          const others = [...model].map(placeOf).filter(other => other.node !== place.node)
          const clockwise = others.sort((a, b) => {
            const past = (other: typeof a): number => Number(other.at[ring]! < place.at[ring]!)
            return past(a) - past(b) || a.at[ring]! - b.at[ring]!
          })
          expect(rings.after(place, ring)?.node).toBe(clockwise[0]?.node)
          expect(rings.before(place, ring)?.node).toBe(clockwise.at(-1)?.node)
          expect(rings.between(place, place, ring)).toEqual(clockwise.map(other => other.node))
          for (const [index, other] of clockwise.entries()) expect(rings.distance(place, other, ring)).toBe(index + 1)
        }
      },
    ),
  )
})

test('neighbours are mutual, at most two a ring, and everybody while they are few', () => {
  for (const count of [2, 11, 12, 40]) {
    const all = nodes(count)
    const views = new Map(all.map(node => [node, overlayOf(node, all)]))
    for (const [node, overlay] of views) {
      const neighbours = overlay.neighbours()
      if (count <= 2 * RINGS + 1) expect(neighbours.length).toBe(count - 1)
      expect(neighbours.length).toBeLessThanOrEqual(2 * RINGS)
      for (const other of neighbours) expect(views.get(other)!.neighbours()).toContain(node)
    }
  }
})

test('everybody is observed by somebody, and whoever observes is taken for an observer by all', () => {
  const all = nodes(60)
  const views = all.map(node => overlayOf(node, all))
  const observed = new Set(views.flatMap(view => view.successors()))
  expect(observed.size).toBe(60)
  for (const [index, view] of views.entries())
    for (const subject of view.successors()) expect(views[0]!.mayObserve(all[index]!, subject)).toBe(true)
})

test('an observer is still one in the view of who has not heard of a few newcomers, or of the subject being gone', () => {
  const all = nodes(60)
  const observer = all[5]!
  const subject = overlayOf(observer, all).successors()[0]!
  const more = overlayOf(all[0]!, [...all, ...nodes(5, 100)])
  expect(more.mayObserve(observer, subject)).toBe(true)
  more.put(subject, 'lost')
  expect(more.mayObserve(observer, subject)).toBe(true)
  more.put(observer, 'none')
  expect(more.mayObserve(observer, subject)).toBe(true)
})

test('in a large fleet most are nobody that may observe a given node', () => {
  const all = nodes(400)
  const view = overlayOf(all[0]!, all)
  const may = all.filter(node => view.mayObserve(node, all[1]!))
  expect(may.length).toBeGreaterThanOrEqual(RINGS)
  expect(may.length).toBeLessThanOrEqual(2 * RINGS * RINGS)
})

test('every lost node is called by at least one and at most ten of the living', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (alive, gone) => {
      const live = nodes(alive)
      const lost = nodes(gone, 1_000)
      const callers = new Map(lost.map(node => [node, 0]))
      for (const self of live)
        for (const node of overlayOf(self, live, lost).lostNearby()) callers.set(node, callers.get(node)! + 1)
      for (const count of callers.values()) {
        expect(count).toBeGreaterThanOrEqual(1)
        expect(count).toBeLessThanOrEqual(2 * RINGS)
      }
    }),
    { numRuns: 30 },
  )
})

test('the neighbourhood connects everybody, in few steps', () => {
  const all = nodes(200)
  const links = new Map(all.map(node => [node, overlayOf(node, all).neighbours()]))
  let reached = new Set([all[0]!])
  let steps = 0
  for (; reached.size < all.length && steps < 6; steps++)
    reached = new Set([...reached, ...[...reached].flatMap(node => links.get(node)!)])
  expect(reached.size).toBe(200)
})

test('a node outside the rings attaches to three, and keeps two of them when one goes', () => {
  const self = nodeNumber(999)
  const overlay = overlayOf(self, nodes(30))
  const before = overlay.attachments()
  expect(before.length).toBe(3)
  overlay.put(before[0]!, 'lost')
  const after = overlay.attachments()
  expect(after.slice(0, 2)).toEqual(before.slice(1))
})

test('the version grows whenever the neighbours or the lost nearby change, and seldom else', () => {
  const all = nodes(60)
  const overlay = createOverlay(all[0]!, createAtlas())
  const derived = (): string => [...overlay.neighbours(), '|', ...overlay.lostNearby()].sort().join()
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat({ max: 58 }), fc.constantFrom('live', 'lost', 'none')), { maxLength: 80 }),
      changes => {
        for (const [index, role] of changes) {
          const before = { version: overlay.version, derived: derived() }
          overlay.put(all[index + 1]!, role as 'live')
          if (derived() !== before.derived) expect(overlay.version).toBeGreaterThan(before.version)
        }
      },
    ),
  )
  for (const node of all) overlay.put(node, 'live')
  const settled = overlay.version
  const strangers = nodes(200, 1_000)
  for (const node of strangers) overlay.put(node, 'live')
  expect(overlay.version - settled).toBeLessThan(strangers.length / 2)
})
