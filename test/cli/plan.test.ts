import fc from 'fast-check'
import { expect, test } from 'vitest'
import { estimate } from '../../cli/signing/estimate.ts'
import { warnings } from '../../cli/signing/lint.ts'
import { composePlan, type PlanRequest } from '../../cli/signing/plan.ts'
import type { Digest, Millis, NodeId, Policy, RolloutDraft } from '../../protocol/index.ts'
import { parseWindow } from '../../protocol/index.ts'
import { nodeId } from '../daemon/api/fake-service.ts'

const NODES = Array.from({ length: 24 }, nodeId)
const image = (fill: string): Digest => fill.repeat(64) as Digest

function draft(size: number, change: Partial<RolloutDraft> = {}): RolloutDraft {
  return {
    group: 'web',
    layer: 'app',
    image: { digest: image('a'), version: 'shop:v2', reversible: true },
    lineage: [],
    lacking: [],
    generation: 3,
    previous: image('b'),
    phase: 'done',
    denied: [],
    roster: NODES.slice(0, size).map((node, at) => ({
      node,
      name: `n${at}`,
      zone: `z${at % 3}`,
      taint: [],
      digest: null,
      version: null,
    })),
    excluded: [],
    down: [],
    ...change,
  }
}

const policy = (maxUnavailable?: number | string): Policy => ({
  version: 1,
  previous: null,
  operators: [],
  threshold: 1,
  publishers: [],
  groups: { '*': { genesisVoters: [NODES[0]!], ...(maxUnavailable === undefined ? {} : { maxUnavailable }) } },
  nonce: 0,
})

const racks = new Map(NODES.map((node, at) => [node, at % 4 === 3 ? undefined : String(10 - (at % 4))]))
const tagOf = (tag: string) => (node: NodeId) => (tag === 'rack' ? racks.get(node) : undefined)

const compose = (size: number, request: PlanRequest, budget?: number | string, groupSize = size) =>
  composePlan(draft(size), request, { policy: policy(budget), groupSize, now: 0 as Millis, tagOf })

const past = (fill: string, more: Partial<RolloutDraft['lineage'][number]> = {}): RolloutDraft['lineage'][number] => ({
  ...{ image: image(fill), version: `shop:${fill}`, barrier: false, reversible: true, ...more },
})

test('a plan names what may not be skipped, and says when nobody knows', () => {
  const drafted = draft(3, { lineage: [past('c', { barrier: true }), past('d', { reversible: null }), past('b')] })
  const plan = composePlan(drafted, {}, { policy: policy(), groupSize: 3, now: 0 as Millis, tagOf })
  expect(plan.lineage.map(({ version, barrier }) => `${version} ${barrier}`)).toEqual([
    'shop:c true',
    'shop:d false',
    'shop:b false',
  ])
  expect(warnings(plan, drafted)).toEqual([expect.stringMatching(/^nobody .* knows whether shop:d may be skipped/)])
})

test('past an image with no way back goes only who says so', () => {
  const drafted = draft(3, { lineage: [past('a'), past('b', { reversible: false })] })
  const asked = (request: PlanRequest) =>
    composePlan(drafted, request, { policy: policy(), groupSize: 3, now: 0 as Millis, tagOf })
  expect(() => asked({})).toThrow(/shop:b, which group web runs, has no way back, and shop:v2 was before it.*--force/)
  expect(asked({ force: true }).image).toBe(image('a'))
})

test('an image with no way back is not undone, and whoever signs is told', () => {
  const drafted = draft(3, { image: { digest: image('a'), version: 'shop:v2', reversible: false } })
  const plan = composePlan(drafted, {}, { policy: policy(), groupSize: 3, now: 0 as Millis, tagOf })
  expect(plan.reversible).toBe(false)
  expect(warnings(plan, drafted)).toEqual([expect.stringMatching(/no way back past this image/)])
})

test('hosts whose other layers are not what the image requires wait; where that is all of them, the plan is refused', () => {
  const lacking = NODES.slice(0, 2).map((node, at) => ({
    node,
    name: `n${at}`,
    layer: 'base',
    requires: image('e'),
    runs: null,
  }))
  const drafted = draft(3, { lacking })
  const plan = composePlan(drafted, {}, { policy: policy(), groupSize: 3, now: 0 as Millis, tagOf })
  expect(warnings(plan, drafted)).toEqual([
    expect.stringMatching(/^2 of 3 hosts \(n0, n1\) wait until their layer base runs eeeeeeeeeeee/),
  ])
  const all = draft(2, { lacking })
  expect(() => composePlan(all, {}, { policy: policy(), groupSize: 2, now: 0 as Millis, tagOf })).toThrow(
    /which no host of group web does/,
  )
})

test.each([
  [10, 3, undefined, 3],
  [10, '25%', undefined, 2], // rounded down
  [3, '25%', undefined, 1], // and never to nothing
  [10, 5, 2, 2], // the policy's budget wins
  [10, '50%', '20%', 2],
  [10, 1, '90%', 1],
  [2, 9, 1, 1],
  [1, 9, undefined, 1], // more than there are
])('of %i nodes, %s wanted and %s allowed: %i', (size, wanted, budget, expected) => {
  expect(compose(size, { maxUnavailable: wanted }, budget).maxUnavailable).toBe(expected)
})

test('a budget in percent is of the whole group, not of the part that was selected', () => {
  expect(compose(4, { maxUnavailable: 4 }, '25%', 16).maxUnavailable).toBe(4)
  expect(compose(4, { maxUnavailable: 4 }, '25%', 4).maxUnavailable).toBe(1)
})

test('the roster names every node once, whatever the order they came in, and zones take turns', () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(NODES, { minLength: 1 }), nodes => {
      const from = draft(24)
      const roster = from.roster.filter(entry => nodes.includes(entry.node))
      const context = { policy: policy(), groupSize: 24, now: 0 as Millis, tagOf }
      const sorted = composePlan({ ...from, roster }, {}, context).roster
      const shuffled = composePlan(
        { ...from, roster: nodes.map(node => roster.find(entry => entry.node === node)!) },
        {},
        context,
      ).roster
      expect(shuffled).toEqual(sorted)
      expect(new Set(sorted)).toEqual(new Set(nodes))
      const zones = new Set(roster.map(entry => entry.zone)).size
      const first = sorted.slice(0, zones).map(node => roster.find(entry => entry.node === node)!.zone)
      expect(new Set(first).size).toBe(zones)
    }),
    { numRuns: 50 },
  )
})

test('another image sends other nodes first', () => {
  const context = { policy: policy(), groupSize: 24, now: 0 as Millis, tagOf }
  const firsts = ['a', 'b', 'c', 'd', 'e', 'f'].map(
    fill =>
      composePlan(draft(24, { image: { digest: image(fill), version: 'x:1', reversible: true } }), {}, context)
        .roster[0],
  )
  expect(new Set(firsts).size).toBeGreaterThan(1)
})

test('naming canaries asks for strategy canary, which rolling cannot have', () => {
  expect(compose(5, { canary: 2 })).toMatchObject({ strategy: 'canary', canary: 2, maxFailed: 1 })
  expect(compose(5, { strategy: 'canary' })).toMatchObject({ canary: 1 })
  expect(() => compose(5, { strategy: 'rolling', canary: 2 })).toThrow(/--canary needs/)
})

test('all down at once has to be asked for by its name, and be allowed', () => {
  expect(() => compose(3, { maxUnavailable: 3 })).toThrow(
    /all 3 hosts of the group down at once; if that is meant: --strategy at-once/,
  )
  expect(() => compose(3, { maxUnavailable: '100%' })).toThrow(/--strategy at-once/)
  expect(compose(3, { strategy: 'at-once' })).toMatchObject({ maxUnavailable: 3, maxFailed: 1 })
  expect(() => compose(3, { strategy: 'at-once' }, '50%')).toThrow(/the policy allows 1 of group web/)
  expect(() => compose(3, { strategy: 'at-once', maxUnavailable: 1 })).toThrow(/has no --max-unavailable/)
})

test.each<[number, (number | string)[], number[]]>([
  [24, ['1%', '10%', '50%', '100%'], [1, 3, 12, 24]],
  [24, ['1%', '2%', '3%'], [1, 24]], // waves that add nobody are left out, and the last is everybody
  [3, [1, 2, 9], [1, 2, 3]],
  [1, ['50%'], [1]],
  [24, [6, 3, 12], [6, 12, 24]],
])('of %i nodes, waves %j end at %j', (size, waves, expected) => {
  expect(compose(size, { waves })).toMatchObject({ strategy: 'waves', waves: expected, soak: 300_000, maxFailed: 1 })
})

test('settings of one strategy are no settings of another', () => {
  expect(() => compose(3, { strategy: 'rolling', waves: ['50%'] })).toThrow(/--waves needs/)
  expect(() => compose(3, { soak: 1_000 })).toThrow(/--soak needs.*--analysis/)
  expect(compose(3, { canary: 1, soak: 1_000 })).toMatchObject({ soak: 1_000 })
})

test('with a cap on zones the plan says where each node stands', () => {
  const plan = compose(7, { maxPerZone: 2, maxUnavailable: 3 })
  const standing = plan.roster.map((_, at) => plan.zones!.names[plan.zones!.of[at]!])
  expect(plan.zones).toMatchObject({ cap: 2, names: ['z0', 'z1', 'z2'] })
  expect(standing).toEqual(plan.roster.map(node => `z${NODES.indexOf(node) % 3}`))
})

test('ordered by a tag, numbers count as numbers and those without it go last', () => {
  const order = compose(24, { orderBy: 'rack' }).roster.map(node => racks.get(node))
  const expected = ['8', '9', '10', undefined].flatMap(rack => new Array<string | undefined>(6).fill(rack))
  expect(order).toEqual(expected)
})

test('the estimate adds up rounds, soaks and the watch at the end', () => {
  const request = { maxUnavailable: 2, minHealthy: 20_000, deadline: 60_000, analysis: 7_000 }
  // Ten nodes two at a time: five rounds of 10 s to come up and 20 s to stay up.
  expect(estimate(compose(10, request), NOON)).toEqual({ likely: 157_000, atMost: 307_000, begins: NOON })
  // Waves of 1, 4 and 5: one round, two, and three; two soaks between them.
  const waves = compose(10, { ...request, waves: [1, 5, 10], soak: 1_000 })
  expect(estimate(waves, NOON).likely).toBe(6 * 30_000 + 2 * 1_000 + 7_000)
  // One at a time in each of three zones of 4, 3 and 3.
  expect(estimate(compose(10, { ...request, maxUnavailable: 9, maxPerZone: 1 }), NOON).likely).toBe(4 * 30_000 + 7_000)
  const window = parseWindow('0 2 * * */1h')
  expect(estimate(compose(10, { ...request, window: [window] }), NOON).begins).toBe(Date.parse('2026-06-02T02:00:00Z'))
})
const NOON = Date.parse('2026-06-01T12:00:00Z') as Millis

test('what is unwise about a plan is said before it is signed', () => {
  const said = (request: PlanRequest, size = 9): string => warnings(compose(size, request), draft(size)).join('\n')
  expect(said({ maxUnavailable: 2 })).toBe('')
  expect(said({ maxUnavailable: 5 })).toMatch(/5 of 9 hosts may be down at once.*half/)
  expect(said({ maxUnavailable: 3 })).toMatch(/all 3 hosts of zone z0.*--max-per-zone/)
  expect(said({ maxUnavailable: 3, maxPerZone: 1 })).toBe('')
  expect(said({ strategy: 'at-once' })).toMatch(/all 9 hosts go down at the same time/)
  expect(said({ minHealthy: 0 })).toMatch(/--min-healthy 0s/)
  expect(said({ maxFailed: 10 })).toMatch(/it never is/)
  expect(said({ force: true })).toMatch(/--force/)
  const down = [{ node: NODES[0]!, name: 'old' }]
  expect(warnings(compose(9, { maxUnavailable: 2 }), draft(9, { down }))).toEqual([
    expect.stringMatching(/^1 of the group is down \(old\) .* budget of 2: only 1 may go/),
  ])
  expect(warnings(compose(9, {}), draft(9, { down }))).toEqual([
    expect.stringMatching(/budget of 1: nobody goes until/),
  ])
  const first = composePlan(draft(9, { previous: null }), {}, { policy: policy(), groupSize: 9, now: NOON, tagOf })
  expect(warnings(first, draft(9))).toEqual([expect.stringMatching(/no image to go back to/)])
})
