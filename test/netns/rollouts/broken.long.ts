import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { bundleDaemon } from '../../../build.mjs'
import { skipped } from '../../support/netns.ts'
import { examine } from './checker.ts'
import { K, rolloutFleet } from './fleet.ts'

test.skipIf(skipped('rollouts/broken.long.ts'))(
  'daemons that were built without a budget are found out',
  async () => {
    const program = resolve(import.meta.dirname, '../../../dist/test/fleetd-without-budget.js')
    await bundleDaemon(program, { 'rollout/ledger/budget.ts': 'test/netns/rollouts/no-budget.ts' })
    const fleet = await rolloutFleet(7, { program })
    try {
      await fleet.begin(0)
      await fleet.done(0)
      // How many programs are down at the same moment is up to chance: each is for a tenth of a second.
      expect(examine(fleet.recorder.trace(K)).join('\n')).toMatch(/^I1: [3-7] members are out of service/m)
    } finally {
      await fleet.close()
    }
  },
  240_000,
)
