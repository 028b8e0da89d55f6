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
      const violations = examine(fleet.recorder.trace(K))
      expect(violations.join('\n')).toMatch(/^I1: [3-7] members are out of service/m)
      expect(violations.join('\n')).toMatch(/^I1: [3-7] programs are down/m)
    } finally {
      await fleet.close()
    }
  },
  240_000,
)
