import fc from 'fast-check'
import { expect, test } from 'vitest'
import { composePlan, type PlanRequest } from '../../cli/signing/plan.ts'
import type { Digest, Millis, Policy, RolloutDraft } from '../../protocol/index.ts'
import { nodeId } from '../daemon/api/fake-service.ts'

const NODES = Array.from({ length: 24 }, nodeId)
const image = (fill: string): Digest => fill.repeat(64) as Digest

function draft(size: number, change: Partial<RolloutDraft> = {}): RolloutDraft {
  return {
    group: 'web',
    layer: 'app',
    image: { digest: image('a'), version: 'shop:v2' },
    generation: 3,
    previous: image('b'),
    phase: 'done',
    denied: [],
    roster: NODES.slice(0, size).map((node, at) => ({
      node,
      name: `n${at}`,
      zone: `z${at % 3}`,
      digest: null,
      version: null,
    })),
    excluded: [],
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

const compose = (size: number, request: PlanRequest, budget?: number | string, groupSize = size) =>
  composePlan(draft(size), request, { policy: policy(budget), groupSize, now: 0 as Millis })

test.each([
  [10, 3, undefined, 3],
  [10, '25%', undefined, 2], // rounded down
  [3, '25%', undefined, 1], // and never to nothing
  [10, 5, 2, 2], // the policy's budget wins
  [10, '50%', '20%', 2],
  [10, 1, '90%', 1],
  [2, 9, undefined, 2], // more than there are
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
      const context = { policy: policy(), groupSize: 24, now: 0 as Millis }
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
  const context = { policy: policy(), groupSize: 24, now: 0 as Millis }
  const firsts = ['a', 'b', 'c', 'd', 'e', 'f'].map(
    fill => composePlan(draft(24, { image: { digest: image(fill), version: 'x:1' } }), {}, context).roster[0],
  )
  expect(new Set(firsts).size).toBeGreaterThan(1)
})

test('naming canaries asks for strategy canary, which rolling cannot have', () => {
  expect(compose(5, { canary: 2 })).toMatchObject({ strategy: 'canary', canary: 2, maxFailed: 1 })
  expect(compose(5, { strategy: 'canary' })).toMatchObject({ canary: 1 })
  expect(() => compose(5, { strategy: 'rolling', canary: 2 })).toThrow(/--canary needs/)
})
