import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeDeb, ownArchitecture } from '../../packaging/deb.ts'
import { bootDebian, cannot, type Debian } from '../support/debian.ts'
import { eventually } from '../support/wait.ts'

// What the Debian package does to a machine, on a Debian that was installed and booted for it: `npm run test:package`.

if (cannot !== undefined) console.log(`skipped: test/packaging/deb.long.ts boots a Debian: ${cannot}`)

interface Info {
  readonly id: string
  readonly fleet: string
}

describe.skipIf(cannot !== undefined)('the Debian package', () => {
  const out = mkdtempSync(join(tmpdir(), 'fleetd-packages-'))
  let debian: Debian
  let before: Info
  let program: string

  const install = async (version: string): Promise<void> => {
    const deb = await makeDeb({ version, architecture: ownArchitecture(), out })
    copyFileSync(deb, join(debian.root, 'root', basename(deb)))
    debian.run('dpkg', '-i', `/root/${basename(deb)}`)
  }
  const json = <T>(...args: string[]): T => JSON.parse(debian.run('fleetctl', '--format', 'json', ...args)) as T
  const active = (): string => debian.attempt('systemctl', 'is-active', 'fleetd').output.trim()
  const inside = (path: string): string => join(debian.root, path)
  /** The pids of what runs in the unit's control group, by their command lines. */
  const processes = (pattern: string): string[] => {
    const { output } = debian.attempt('pgrep', '-f', pattern)
    return output.trim().split('\n').filter(Boolean)
  }

  beforeAll(async () => {
    debian = await bootDebian()
  }, 600_000)
  afterAll(async () => {
    await debian?.close()
    rmSync(out, { recursive: true, force: true })
  })

  test('installs, and the daemon runs as a user of its own, enabled, ready, and logs to the journal', async () => {
    await install('0.9.0')
    expect(active()).toBe('active')
    expect(debian.run('systemctl', 'is-enabled', 'fleetd').trim()).toBe('enabled')
    const [pid = ''] = processes('/usr/bin/fleetd --config')
    expect(debian.run('ps', '-o', 'user=', '-p', pid).trim()).toBe('fleetd')
    const { mode } = statSync(inside('var/lib/fleetd'))
    expect(mode & 0o777).toBe(0o700)
    expect(debian.run('journalctl', '-u', 'fleetd', '-o', 'cat')).toMatch(/fleetd ready/)
    expect(debian.run('dpkg', '-s', 'fleetd')).toMatch(/^Status: install ok installed\n(.+\n)*Version: 0\.9\.0$/m)
    // Whoever has the package has its manual, and what it is made of.
    for (const file of [
      'man/man1/fleetctl.1.gz',
      'man/man8/fleetd.8.gz',
      'doc/fleetd/copyright',
      'doc/fleetd/sbom.cdx.json.gz',
    ])
      expect(existsSync(inside(`usr/share/${file}`)), file).toBe(true)
  }, 120_000)

  test('systemd finds nothing wrong with the unit, and little that is exposed', () => {
    expect(debian.run('systemd-analyze', 'verify', '--man=no', '/usr/lib/systemd/system/fleetd.service')).toBe('')
    const { output } = debian.attempt('systemd-analyze', 'security', '--no-pager', 'fleetd.service')
    const [, score = ''] = /Overall exposure level for fleetd\.service: ([\d.]+)/.exec(output) ?? []
    expect(Number(score), output).toBeLessThan(3)
    expect(Number(score)).toBeGreaterThan(0)
  })

  test('within its bounds it makes a fleet, builds an image and runs it', async () => {
    debian.run('fleetctl', 'init')
    const file = inside('etc/fleetd/fleetd.yaml')
    writeFileSync(file, `${readFileSync(file, 'utf8')}\nlayers:\n  app: { driver: process, command: [./serve] }\n`)
    debian.run('systemctl', 'restart', 'fleetd')
    // The daemon reads the directory itself, as its own user, and homes are hidden from it.
    mkdirSync(inside('srv/app'))
    // A program of Node's: what the unit forbids, such as memory that is written and run, would stop it.
    const serve =
      "#!/usr/bin/env node\nrequire('node:http').createServer((_, answer) => answer.end('served')).listen(8080)\n"
    writeFileSync(inside('srv/app/serve'), serve, { mode: 0o755 })
    debian.run('fleetctl', 'image', 'build', '/srv/app', '--name', 'app', '--version', 'v1')
    debian.run(
      'fleetctl',
      'rollout',
      'start',
      '--layer',
      'app',
      '--image',
      'app:v1',
      '--min-healthy',
      '1s',
      '--timeout',
      '60s',
    )
    before = json<Info>('info')
    ;[program = ''] = processes('node ./serve')
    expect(program).toMatch(/^\d+$/)
    expect(served()).toBe('served')
  }, 120_000)

  test('an upgrade keeps the identity, the images, the configuration and even the running program', async () => {
    await install('1.0.0')
    expect(active()).toBe('active')
    expect(debian.run('dpkg', '-s', 'fleetd')).toMatch(/^Version: 1\.0\.0$/m)
    expect(json<Info>('info')).toMatchObject({ id: before.id, fleet: before.fleet })
    expect(debian.run('fleetctl', 'image', 'list')).toMatch(/^app:v1 .* running /m)
    expect(readFileSync(inside('etc/fleetd/fleetd.yaml'), 'utf8')).toMatch(/command: \[.\/serve\]/)
    expect(processes('node ./serve')).toEqual([program])
    expect(served()).toBe('served')
    debian.run('systemctl', 'reload', 'fleetd')
    await eventually('the reload to be over', () => active() === 'active', { seen: active })
    expect(debian.run('journalctl', '-u', 'fleetd', '-o', 'cat')).toMatch(/reload/)
  }, 120_000)

  test('a daemon that is killed is started again, and takes its program back', async () => {
    const [pid = ''] = processes('/usr/bin/fleetd --config')
    debian.run('kill', '-9', pid)
    await eventually(
      'another daemon',
      () => active() === 'active' && !processes('/usr/bin/fleetd --config').includes(pid),
    )
    expect(json<Info>('info').id).toBe(before.id)
    expect(processes('node ./serve')).toEqual([program])
  }, 60_000)

  test('remove stops the daemon and its programs and keeps what is theirs; installed again, it is the same node', async () => {
    debian.run('dpkg', '-r', 'fleetd')
    expect(active()).toBe('inactive')
    await eventually('the program to end', () => processes('node ./serve').length === 0)
    expect(existsSync(inside('var/lib/fleetd/node.key'))).toBe(true)
    expect(existsSync(inside('etc/fleetd/fleetd.yaml'))).toBe(true)
    expect(existsSync(inside('usr/lib/fleetd'))).toBe(false)
    await install('1.0.0')
    expect(json<Info>('info').id).toBe(before.id)
    await eventually('the program to run again', () => processes('node ./serve').length === 1)
  }, 120_000)

  test('purge leaves nothing behind but the user', async () => {
    debian.run('dpkg', '-P', 'fleetd')
    await eventually('the program to end', () => processes('node ./serve').length === 0)
    const left = debian.run(
      'find',
      '/etc',
      '/usr',
      '/var',
      '/run',
      '-xdev',
      '-name',
      '*fleetd*',
      '-not',
      '-path',
      '/var/log/journal/*',
    )
    expect(left).toBe('')
    expect(debian.attempt('dpkg', '-s', 'fleetd').code).toBe(1)
    expect(debian.attempt('systemctl', 'status', 'fleetd').output).toMatch(/could not be found/)
    expect(debian.run('getent', 'passwd', 'fleetd')).toMatch(/nologin/)
  }, 60_000)

  function served(): string {
    const ask = "fetch('http://127.0.0.1:8080').then(answer => answer.text()).then(text => process.stdout.write(text))"
    return debian.run('node', '-e', ask)
  }
})
