import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeDeb, ownArchitecture } from '../../../packaging/deb.ts'
import type { RolloutStatusView } from '../../../protocol/index.ts'
import { bootDebian, cannot, type Debian } from '../../support/debian.ts'
import { eventually } from '../../support/wait.ts'

// The `service` driver with the systemd of a Debian that was installed and booted for it: `npm run test:drivers`.

if (cannot !== undefined) console.log(`skipped: test/process/drivers/service.long.ts boots a Debian: ${cannot}`)

const UNIT = `[Service]
ExecStart=/srv/shop/current/serve
WorkingDirectory=/srv/shop/current
RestartSec=100ms
Restart=always
`
/** A fleetd of its own beside the package's: one that may command systemd. */
const AGENT = `[Service]
ExecStart=/usr/bin/fleetd --data-dir /var/lib/agent --name n0 --init --operator-key /root/operator.key --web off --no-mdns --config /root/agent.yaml --api unix:/run/agent.sock
KillMode=process
`
const LAYERS = `layers:
  app:
    driver: service
    unit: shop.service
    link: /srv/shop/current
    checks: [{ name: http, http: "http://127.0.0.1:8080/", interval: 100ms, failures: 2 }]
`

describe.skipIf(cannot !== undefined)('a unit of systemd', () => {
  const out = mkdtempSync(join(tmpdir(), 'fleetd-service-'))
  let debian: Debian

  const inside = (path: string): string => join(debian.root, path)
  const ctl = (...args: string[]): string =>
    debian.run('fleetctl', '--api', 'unix:/run/agent.sock', '--key', '/root/operator.key', ...args)
  const image = (version: string, serve: string): void => {
    mkdirSync(inside(`srv/${version}`))
    writeFileSync(inside(`srv/${version}/serve`), `#!/usr/bin/env node\n${serve}\n`, { mode: 0o755 })
    ctl('image', 'build', `/srv/${version}`, '--name', 'shop', '--version', version)
  }
  const answering = (version: string): string =>
    `require('node:http').createServer((_, answer) => answer.end('${version}')).listen(8080)`
  const rollout = (version: string, ...flags: string[]): { code: number; output: string } =>
    debian.attempt(
      ...(['fleetctl', '--api', 'unix:/run/agent.sock', '--key', '/root/operator.key', '--timeout', '60s'] as const),
      ...['rollout', 'start', '--layer', 'app', '--image', `shop:${version}`],
      ...['--min-healthy', '500ms', '--deadline', '5s', '--max-failed', '1', ...flags],
    )
  const served = (): string =>
    debian.run('node', '-e', "fetch('http://127.0.0.1:8080/').then(r => r.text()).then(t => process.stdout.write(t))")
  const invocation = (): string => debian.run('systemctl', 'show', '--property=InvocationID', '--value', 'shop').trim()

  beforeAll(async () => {
    debian = await bootDebian()
    const deb = await makeDeb({ version: '1.0.0', architecture: ownArchitecture(), out })
    cpSync(deb, inside(`root/${basename(deb)}`))
    debian.run('dpkg', '-i', `/root/${basename(deb)}`)
    debian.run('systemctl', 'disable', '--now', 'fleetd')
    mkdirSync(inside('srv/shop'))
    writeFileSync(inside('etc/systemd/system/shop.service'), UNIT)
    writeFileSync(inside('etc/systemd/system/agent.service'), AGENT)
    writeFileSync(inside('root/agent.yaml'), LAYERS)
    debian.run('systemctl', 'daemon-reload')
    debian.run('systemctl', 'start', 'agent')
    await eventually('fleetd to be there', () => debian.attempt('test', '-S', '/run/agent.sock').code === 0)
  }, 600_000)
  afterAll(async () => {
    await debian?.close()
    rmSync(out, { recursive: true, force: true })
  })

  test('is restarted on the next image, and is what fleetd takes the health of', () => {
    image('v1', answering('v1'))
    image('v2', answering('v2'))
    expect(rollout('v1')).toMatchObject({ code: 0 })
    expect(served()).toBe('v1')
    const before = invocation()
    expect(rollout('v2')).toMatchObject({ code: 0 })
    expect(served()).toBe('v2')
    expect(invocation()).not.toBe(before)
  }, 120_000)

  test('goes back when the new image does not serve', () => {
    image('v3', 'process.exit(1)')
    const { code, output } = rollout('v3')
    expect({ code, output }).toMatchObject({ code: 3 })
    expect(served()).toBe('v2')
    const status = JSON.parse(ctl('--format', 'json', 'rollout', 'status')) as RolloutStatusView
    expect(status).toMatchObject({ phase: 'rolled-back', failed: 1, permits: [] })
  }, 120_000)

  test('goes on running while fleetd is restarted, and ends when the host leaves the fleet', async () => {
    const before = invocation()
    debian.run('systemctl', 'restart', 'agent')
    await eventually(
      'fleetd to be back',
      () => debian.attempt('fleetctl', '--api', 'unix:/run/agent.sock', 'info').code === 0,
    )
    expect(invocation()).toBe(before)
    expect(served()).toBe('v2')
    ctl('leave')
    await eventually(
      'the unit to be stopped',
      () => debian.attempt('systemctl', 'is-active', 'shop').output.trim() === 'inactive',
    )
  }, 120_000)
})
