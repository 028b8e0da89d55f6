import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Digest, millis, type NodeId, type Push, type Statement, sha256 } from '../../../protocol/index.ts'
import { createRegister, keepersOf, type Register } from '../../../rollout/index.ts'

const NO_LIMITS = { pushes: 1_000, ofNode: 1_000 }

/** A push as it is after its signature was checked; what it says is all that a register looks at. */
function push(serial: number, of: Pick<Push, 'repository' | 'reference' | 'node' | 'at'>, deleted = false) {
  const manifest = sha256(Buffer.from(`manifest ${serial}`))
  const pushed = deleted ? null : { manifest, image: sha256(Buffer.from(`image ${serial}`)), subject: null }
  const body: Push = { ...of, certificate: new Uint8Array(), pushed }
  return { id: sha256(Buffer.from(`push ${serial}`)), body, bytes: new Uint8Array() } as unknown as Statement<Push>
}

const node = fc.constantFrom('a', 'b', 'c').map(name => name as NodeId)
const pushes = fc
  .array(
    fc.record({
      repository: fc.constantFrom('shop', 'team/shop'),
      reference: fc.constantFrom('v1', 'v2', 'latest'),
      node,
      at: fc.nat({ max: 20 }).map(millis),
      deleted: fc.boolean(),
    }),
    { maxLength: 40 },
  )
  .map(all => all.map(({ deleted, ...of }, serial) => push(serial, of, deleted)))

const idsOf = (register: Register): Digest[] =>
  register
    .all()
    .map(({ id }) => id)
    .sort()
function filled(all: readonly Statement<Push>[], limits = NO_LIMITS): Register {
  const register = createRegister(limits)
  for (const each of all) register.take(each)
  return register
}

test('the same pushes in another order, and some of them twice, leave the same', () => {
  fc.assert(
    fc.property(
      pushes.chain(all =>
        fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }), fc.subarray(all)),
      ),
      ([all, shuffled, again]) => {
        expect(idsOf(filled([...shuffled, ...again]))).toEqual(idsOf(filled(all)))
      },
    ),
  )
})

test('of each reference the latest push is kept, and found by all that it can be asked for by', () => {
  fc.assert(
    fc.property(pushes, all => {
      const register = filled(all)
      const references = new Map<string, Statement<Push>>()
      for (const each of all) {
        const key = `${each.body.repository}:${each.body.reference}`
        const before = references.get(key)
        const later =
          before === undefined ||
          each.body.at > before.body.at ||
          (each.body.at === before.body.at && each.id > before.id)
        if (later) references.set(key, each)
      }
      expect(idsOf(register)).toEqual([...references.values()].map(({ id }) => id).sort())
      for (const each of references.values()) {
        const { repository, reference, pushed } = each.body
        expect(register.newest(repository, reference)).toBe(each)
        expect(register.get(each.id)).toBe(each)
        expect(register.of(repository)).toContain(each)
        if (pushed !== null) expect(register.naming(pushed.image)).toEqual([each])
      }
    }),
  )
})

test('what take says is what happened', () => {
  fc.assert(
    fc.property(pushes, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 }), (all, most, ofNode) => {
      const register = createRegister({ pushes: most, ofNode })
      const kept = new Set<Digest>()
      for (const each of all) {
        const wasNews = register.isNews(each)
        const { news, dropped } = register.take(each)
        if (news) {
          expect(wasNews).toBe(true)
          kept.add(each.id)
        }
        for (const { id } of dropped) expect(kept.delete(id)).toBe(true)
        expect(idsOf(register)).toEqual([...kept].sort())
      }
    }),
  )
})

test('one node can have no more than its share, and all together no more than all', () => {
  fc.assert(
    fc.property(pushes, all => {
      const register = filled(all, { pushes: 4, ofNode: 2 })
      expect(register.all().length).toBeLessThanOrEqual(4)
      for (const name of ['a', 'b', 'c'])
        expect(register.all().filter(({ body }) => body.node === name).length).toBeLessThanOrEqual(2)
    }),
  )
})

test('keepers are the same in whatever order nodes are known, and stay when another node goes', () => {
  const nodes = fc
    .uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 12 })
    .map(all => all as NodeId[])
  fc.assert(
    fc.property(fc.string(), nodes, fc.integer({ min: 1, max: 5 }), (repository, all, count) => {
      const keepers = keepersOf(repository, all, count)
      expect(keepers).toHaveLength(Math.min(count, all.length))
      expect(keepersOf(repository, [...all].reverse(), count)).toEqual(keepers)
      for (const gone of all) {
        const rest = keepersOf(
          repository,
          all.filter(each => each !== gone),
          count,
        )
        expect(rest).toEqual(expect.arrayContaining(keepers.filter(each => each !== gone)))
      }
    }),
  )
})

test('repositories are spread over the nodes', () => {
  const nodes = Array.from({ length: 20 }, (_, at) => `node-${at}` as NodeId)
  const load = new Map<NodeId, number>()
  for (let at = 0; at < 2_000; at++)
    for (const keeper of keepersOf(`team/app-${at}`, nodes, 3)) load.set(keeper, (load.get(keeper) ?? 0) + 1)
  // 300 each on average, with a standard deviation of 16.
  expect(Math.min(...nodes.map(each => load.get(each) ?? 0))).toBeGreaterThan(200)
  expect(Math.max(...load.values())).toBeLessThan(400)
})
