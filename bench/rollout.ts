// Fifty daemons brought from one image to the next, five at a time, beside the least time that this can take, and beside the same hosts rolled by an
// Ansible playbook with `serial`; a client goes round all of them meanwhile. And a thousand nodes in virtual time:
// `npm run bench:rollout [-- --count 50 --budget 5 --min-healthy 5 --only fleetd]`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sandbox } from '../test/support/daemons.ts'
import { report } from './report.ts'
import { rollByAnsible } from './rollout/ansible.ts'
import { rollByFleetd } from './rollout/fleet.ts'
import { figuresOf, type Setting } from './rollout/setting.ts'
import { simulate } from './rollout/simulated.ts'

/** Of the time to the bound: issue "Rollouts". */
const TARGET = 1.2

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '50' },
    budget: { type: 'string', default: '5' },
    'min-healthy': { type: 'string', default: '5' },
    /** fleetd, ansible or simulated, for one of them. */
    only: { type: 'string' },
  },
})
const setting: Setting = {
  count: Number(values.count),
  budget: Number(values.budget),
  minHealthy: Number(values['min-healthy']) * 1_000,
}
const wanted = (name: string): boolean => values.only === undefined || values.only === name

if (wanted('fleetd')) {
  const box = await sandbox()
  try {
    report('rollout-fleetd', figuresOf(setting, await rollByFleetd(box, setting), TARGET))
  } finally {
    await box.close()
  }
}
if (wanted('ansible')) {
  if (spawnSync('which', ['ansible-playbook']).status !== 0)
    process.stdout.write('bench:rollout: the comparison is skipped, since ansible-playbook is not installed\n')
  else {
    const dir = mkdtempSync(join(tmpdir(), 'fleetd-bench-'))
    try {
      report('rollout-ansible', figuresOf(setting, await rollByAnsible(dir, setting)))
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  }
}
// K is 5 % of a thousand, and hosts prove themselves for as long as by default.
if (wanted('simulated')) report('rollout-simulated', simulate({ count: 1_000, budget: 50, minHealthy: 30_000 }, TARGET))
