import { expect, test } from 'vitest'
import type { Digest, NodeId } from '../../../protocol/index.ts'
import { divergenceOf, genesis, type LedgerValue, type Runner } from '../../../rollout/index.ts'
import { image, NODES, NOW, plan } from '../ledger/fixtures.ts'

const [v1, v2, v3] = [image('v1'), image('v2'), image('v3')] as [Digest, Digest, Digest]
const past = (generation: number, of: Digest, at: number): LedgerValue['history'][number] => ({
  ...{ generation, plan: plan().id, layer: 'app', image: of, version: `shop:${generation}`, since: NOW },
  end: { phase: 'done', reason: '', ok: 3, failed: 0, at: at as typeof NOW },
})
const done: LedgerValue = {
  ...genesis('web', NODES.slice(0, 3)),
  ...{ phase: 'done', generation: 2, targets: { app: v2 }, history: [past(1, v1, 100), past(2, v2, 200)] },
}
const runs = (at: number, digest: Digest | null, status = 'alive'): Runner => ({
  ...{ id: NODES[at] as NodeId, name: `n${at}`, status },
  layers: [{ layer: 'app', digest, version: digest === null ? null : 'shop:x' }],
})

test('who runs something else than the last generation brought is named, with since when and why', () => {
  const [app] = divergenceOf({ ...done, denied: [v3] }, [
    ...[runs(0, v2), runs(1, v2), runs(2, v1), runs(3, v1, 'failed'), runs(4, v3)],
    ...[runs(5, v1, 'left'), runs(6, null)],
  ])
  expect(app).toMatchObject({ group: 'web', layer: 'app', wanted: { digest: v2, version: 'shop:2' } })
  expect(app?.running.map(({ digest, nodes }) => [digest, nodes])).toEqual(
    [
      [v2, 2],
      [v1, 2],
      [v3, 1],
      [null, 1],
    ].sort(([a, m], [b, n]) => Number(n) - Number(m) || (String(a ?? '') < String(b ?? '') ? -1 : 1)),
  )
  expect(app?.stragglers.map(({ name, since, reason }) => `${name} ${since} ${reason}`)).toEqual([
    'n2 200 it was left behind: ask "fleetctl rollout explain" for it',
    'n3 200 it is failed',
    'n4 200 it runs an image that failed in its group',
    'n6 200 its slot is empty',
  ])
})

test('a rollout that is under way is no divergence, whichever of the two images a node runs', () => {
  const history = [...done.history, { ...past(3, v3, 300), end: null }]
  for (const phase of ['rolling', 'paused', 'reversing'] as const) {
    const [app] = divergenceOf({ ...done, phase, generation: 3, history }, [runs(0, v2), runs(1, v3), runs(2, v1)])
    expect(app?.stragglers.map(({ name }) => name)).toEqual(['n2'])
  }
  const [after] = divergenceOf({ ...done, phase: 'rolled-back', generation: 3, history }, [runs(0, v2), runs(1, v3)])
  expect(after?.stragglers.map(({ name }) => name)).toEqual(['n1'])
})

test('a layer that never had a plan has nothing that is wanted, and so nobody strays', () => {
  const [app] = divergenceOf(genesis('web', NODES.slice(0, 3)), [runs(0, v1), runs(1, v2)])
  expect(app).toMatchObject({ wanted: null, stragglers: [], running: [{ nodes: 1 }, { nodes: 1 }] })
})
