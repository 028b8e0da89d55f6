import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeDeb } from '../../packaging/deb.ts'
import { makeNpm } from '../../packaging/npm.ts'
import { freePort } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// The packages as files, and the npm package installed where there is nothing else: `npm run test:package`. It asks the npm registry.

const dir = mkdtempSync(join(tmpdir(), 'fleetd-packages-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('the npm package holds what runs, what to read and what it is made of, and nothing else', async () => {
  const tarball = makeNpm(dir)
  const files = execFileSync('tar', ['-tzf', tarball]).toString().trim().split('\n')
  const kinds = [
    /^dist\/fleetd(-relay|-certificate)?\.js$/,
    /^dist\/fleetd-launcher$/,
    /^dist\/fleetctl(-\w+)?\.js$/,
    /^dist\/page\/[\w.]+$/,
    /^man\/fleet\w+\.\d$/,
  ]
  const texts = ['LICENSE', 'README.md', 'THIRD-PARTY.txt', 'package.json', 'sbom.cdx.json']
  const others = files
    .map(file => file.replace(/^package\//, ''))
    .filter(file => !texts.includes(file) && !kinds.some(kind => kind.test(file)))
  expect(others).toEqual([])

  const empty = join(dir, 'empty')
  execFileSync('mkdir', [empty])
  writeFileSync(join(empty, 'package.json'), '{}')
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', tarball], {
    cwd: empty,
  })
  const bin = join(empty, 'node_modules/.bin')
  const data = join(empty, 'data')
  const daemon = spawn(
    join(bin, 'fleetd'),
    [
      ...[
        '--init',
        '--operator-key',
        join(empty, 'operator.key'),
        '--data-dir',
        data,
        '--name',
        'alone',
        '--web',
        'off',
      ],
      ...['--no-mdns', '--listen', `127.0.0.1:${await freePort()}`],
    ],
    { cwd: empty, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let said = ''
  daemon.stderr.on('data', chunk => {
    said += String(chunk)
  })
  const ended = new Promise(done => daemon.once('exit', done))
  try {
    await eventually('the installed daemon to be ready', () => said.includes('fleetd ready'), { seen: () => said })
    const members = execFileSync(join(bin, 'fleetctl'), ['--api', `unix:${data}/fleetd.sock`, 'members'])
    expect(members.toString()).toMatch(/^alone +alive/m)
  } finally {
    daemon.kill('SIGTERM')
    expect(await ended).toBe(0)
  }
}, 120_000)

test('the same commit gives the same Debian package, and one for another architecture differs in its native part', async () => {
  const version = '1.2.3-rc.1'
  const [one, two, other] = [
    await makeDeb({ version, architecture: 'amd64', out: join(dir, 'one') }),
    await makeDeb({ version, architecture: 'amd64', out: join(dir, 'two') }),
    await makeDeb({ version, architecture: 'arm64', out: join(dir, 'other') }),
  ]
  expect(one).toMatch(/fleetd_1\.2\.3~rc\.1_amd64\.deb$/)
  expect(readFileSync(one).equals(readFileSync(two))).toBe(true)
  const native = (deb: string): string[] =>
    execFileSync('dpkg-deb', ['--contents', deb])
      .toString()
      .split('\n')
      .filter(line => line.endsWith('.node'))
      .map(line => line.slice(line.indexOf('prebuilds/')))
  expect(native(one)).toEqual(['prebuilds/linux-x64/classic-level.node'])
  expect(native(other)).toEqual(['prebuilds/linux-arm64/classic-level.armv8.node'])
}, 120_000)
