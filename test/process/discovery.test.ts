import { afterAll, beforeAll, expect, test } from 'vitest'
import { documentedMetrics } from '../docs/metrics.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { fetchFrom } from '../support/http.ts'

let box: Sandbox
let first: Daemon

beforeAll(async () => {
  box = await sandbox()
  first = await box.start({ name: 'n0', init: true, group: 'web' })
})
afterAll(() => box.close())

test('a daemon gives the metrics that are documented, and no other', async () => {
  const { status, body } = await fetchFrom(first.socket, '/metrics')
  expect(status).toBe(200)
  const help = new Map([...body.matchAll(/^# HELP (\w+) (.+)$/gm)].map(([, name, text]) => [name, text]))
  const type = new Map([...body.matchAll(/^# TYPE (\w+) (.+)$/gm)].map(([, name, text]) => [name, text]))
  const documented = documentedMetrics()
  expect([...help.keys()].sort()).toEqual([...documented.keys()].sort())
  for (const [name, metric] of documented) {
    expect([type.get(name), help.get(name)], name).toEqual([metric.type, metric.help])
    const samples = [...body.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, 'gm'))]
    for (const [, labels = '', value] of samples) {
      expect([...labels.matchAll(/(\w+)="/g)].map(([, label]) => label).sort(), name).toEqual([...metric.labels].sort())
      expect(Number(value), name).not.toBeNaN()
    }
    if (!name.startsWith('fleet_rollout_')) expect(samples.length, name).toBeGreaterThan(0)
  }
  expect(body).toContain('fleet_members{status="alive"} 1')
})
