import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bundleAgent } from '../../build.mjs'
import type { LedgerView } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { createWorld, type Host, skipped, type World } from '../support/netns.ts'
import { eventually } from '../support/wait.ts'
import { allSee, allSeeAlive, hostsOn, on, PORT } from './support.ts'

// What goes wrong with hosts, really made wrong, and what `fleetctl doctor` makes of it. `npm run test:doctor`.

interface Finding {
  readonly check: string
  readonly severity: string
  readonly what: string
  readonly mend: string
  readonly on: string
  readonly run: string
}

const AHEAD = 120_000
/** n1's host has its clock so far ahead, by all that its daemon can see. */
const CLOCK = `const real = Date
const { now } = real
globalThis.Date = class extends real {
  constructor(...given) { given.length === 0 ? super(now() + ${AHEAD}) : super(...given) }
  static now() { return now() + ${AHEAD} }
}
`
/** Of n2's disk, in bytes. */
const DISK = 64 * 1024 * 1024

describe.skipIf(skipped('doctor.long.ts'))('the doctor of three hosts', () => {
  let world: World
  let box: Sandbox
  let hosts: Host[]
  let n0: Daemon
  let n1: Daemon
  let n2: Daemon
  const disk = (): string => join(box.dir, 'n2')

  beforeAll(async () => {
    world = createWorld()
    box = await sandbox()
    hosts = hostsOn(world, world.lan(), 4)
    const clock = join(box.dir, 'clock.mjs')
    writeFileSync(clock, CLOCK)
    const other = join(box.dir, 'other')
    await bundleAgent(other, { version: '9.9.9' })
    mkdirSync(disk())
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0700`, 'tmpfs', disk()])
    const ahead = ['env', `NODE_OPTIONS=--import=${pathToFileURL(clock)}`]
    ;[n0, n1, n2] = (await box.fleet(3, index => ({
      ...on(hosts[index]!),
      ...(index === 1 ? { within: [...hosts[1]!.within, ...ahead] } : {}),
      ...(index === 2 ? { program: join(other, 'fleetd.js') } : {}),
    }))) as [Daemon, Daemon, Daemon]
    await allSeeAlive([n0, n1, n2])
    await eventually('all three to be voters', async () => (await voters()).length === 3)
  }, 120_000)
  afterAll(async () => {
    // What still runs on it keeps it; the folder can go.
    if (box !== undefined) execFileSync('umount', ['--lazy', disk()])
    await box?.close()
    world?.close()
  })

  const voters = async (): Promise<string[]> =>
    (await n0.json<LedgerView>('ledger', 'show', 'default')).voters.map(({ name }) => name)

  /** What the doctor found on a host by one of its checks, and its exit code. */
  async function found(daemon: Daemon, check: string): Promise<{ code: number; of: Finding[] }> {
    const { code, stdout, stderr } = await daemon.ctl('doctor', '--format', 'json', '--timeout', '30s')
    if (stdout === '') throw new Error(`no diagnosis: ${stderr}`)
    const { findings } = JSON.parse(stdout) as { findings: Finding[] }
    return { code, of: findings.filter(finding => finding.check === check) }
  }
  /** Waits until one thing is found by a check, and gives that. */
  async function one(daemon: Daemon, check: string): Promise<Finding> {
    let seen: unknown
    return eventually(
      `one finding about ${check} on ${daemon.name}`,
      async () => {
        const now = await found(daemon, check)
        seen = now
        expect(now.code).toBe(now.of.some(({ severity }) => severity === 'problem') ? 1 : now.code)
        return now.of.length === 1 && now.of[0]
      },
      { seconds: 60, everyMs: 500, seen: () => seen },
    )
  }
  const gone = (daemon: Daemon, check: string): Promise<boolean> =>
    eventually(`nothing to be found about ${check}`, async () => (await found(daemon, check)).of.length === 0, {
      seconds: 90,
      everyMs: 500,
    })

  test('a clock that is ahead is named, by the others and by its own host', async () => {
    const mend = { severity: 'problem', on: 'n1', run: 'timedatectl set-ntp true' }
    expect(await one(n0, 'clock')).toMatchObject({
      ...mend,
      what: expect.stringMatching(/^the clock of n1 is (2m|1m 5\ds) ahead$/),
    })
    expect(await one(n1, 'clock')).toMatchObject({
      ...mend,
      what: expect.stringMatching(/^the clock of this host is (2m|1m 5\ds) ahead, by what 2 of 2 members say$/),
    })
  }, 120_000)

  test('a host with another version of fleetd is named', async () => {
    expect(await one(n0, 'versions')).toMatchObject({
      severity: 'warning',
      what: expect.stringMatching(/^the fleet runs 2 versions of fleetd: .* on 2 members, 9\.9\.9 on n2$/),
      on: 'n2',
      run: 'fleetctl version',
    })
  }, 120_000)

  test('a disk that is nearly full is a problem on its host, until there is room', async () => {
    const ballast = join(disk(), 'ballast')
    const { bavail, bsize } = statfsSync(disk())
    writeFileSync(ballast, Buffer.alloc(bavail * bsize - 1024 * 1024))
    expect(await one(n2, 'disk')).toMatchObject({
      severity: 'problem',
      what: expect.stringMatching(/^the disk of \S+n2 has .* left, .*no image is fetched any more$/),
      mend: expect.stringContaining('Make room on that disk'),
      on: 'n2',
      run: 'fleetctl image gc --all',
    })
    rmSync(ballast)
    await gone(n2, 'disk')
  }, 120_000)

  test('a port that a firewall closes is told by those outside, and by the host itself', async () => {
    hosts[2]!.drop(`tcp dport ${PORT} tcp flags & (syn | ack) == syn`)
    expect(await one(n0, 'ports')).toMatchObject({
      severity: 'problem',
      what: `nothing answers where n2 says to be (10.77.0.3:${PORT}), though it is alive`,
      mend: expect.stringContaining('Open that port (TCP) in the firewalls'),
      on: 'n2',
      run: 'ss -ltn',
    })
    expect(await one(n2, 'reachable')).toMatchObject({
      severity: 'problem',
      what: expect.stringContaining('nobody who was asked can connect to this node at 10.77.0.3'),
      mend: expect.stringContaining('Open that port (TCP) for what comes in'),
      on: 'n2',
      run: 'ss -ltn',
    })
    hosts[2]!.hearAll()
    await gone(n0, 'ports')
  }, 180_000)

  test('a host that no packet reaches is told from one whose daemon has stopped', async () => {
    hosts[2]!.cable('eth0', 'down')
    expect(await one(n0, 'members')).toMatchObject({
      severity: expect.stringMatching(/problem|warning/),
      what: expect.stringContaining('n2'),
    })
    await eventually(
      'it to be failed',
      async () => (await found(n0, 'members')).of[0]?.what === 'n2 is failed: the host does not answer',
      {
        seconds: 60,
      },
    )
    expect(await one(n2, 'fleet')).toMatchObject({
      severity: 'problem',
      what: 'this daemon has no connection to any of 2 other members',
      on: 'n2',
      run: expect.stringMatching(/^fleetctl join 10\.77\.0\.[12]:7946$/),
    })
    hosts[2]!.cable('eth0', 'up')
    await gone(n0, 'members')
    n2.kill('SIGKILL')
    await eventually(
      'it to be missed',
      async () =>
        (await found(n0, 'members')).of[0]?.what === 'n2 is failed: the host answers, and fleetd does not run there',
      { seconds: 60 },
    )
  }, 240_000)

  test('two of three voters that are down are a lost quorum, one is a warning, none is all well', async () => {
    expect(await one(n0, 'quorum')).toMatchObject({
      severity: 'warning',
      what: 'n2, of the 3 voters of group default, is down; when one more fails, no host there may be replaced',
    })
    n1.kill('SIGKILL')
    const lost = await eventually(
      'the quorum to be lost',
      async () => {
        const [finding] = (await found(n0, 'quorum')).of
        // Which hosts it is for is known once both are seen to have failed.
        return finding?.severity === 'problem' && finding.mend.includes('(n1, n2)') && finding
      },
      { seconds: 60 },
    )
    expect(lost).toMatchObject({
      what: expect.stringMatching(
        /^the ledger of group default cannot be read from a majority of its voters, and no host there may be replaced/,
      ),
      mend: expect.stringMatching(/^Bring back the hosts of the group that are down \(n1, n2\)/),
      on: 'n1',
      run: 'systemctl start fleetd',
    })
    n1 = await n1.restart()
    expect(await one(n0, 'quorum')).toMatchObject({ severity: 'warning', on: 'n2', run: 'systemctl start fleetd' })
  }, 240_000)

  test('a data directory that was copied to another host is told on both', async () => {
    cpSync(disk(), join(box.dir, 'copy'), { recursive: true, filter: path => !path.endsWith('.sock') })
    n2 = await n2.restart()
    await allSee([n0], { n0: 'alive', n1: 'alive', n2: 'alive' })
    await gone(n2, 'identity')
    const copy = await box.start({ ...on(hosts[3]!), name: 'copy' })
    for (const daemon of [n2, copy])
      expect(await one(daemon, 'identity')).toMatchObject({
        severity: 'problem',
        what: expect.stringMatching(
          /^another daemon.* speaks with this node's key: its data directory \(.*\) was copied/,
        ),
        mend: expect.stringMatching(/^Stop the copy/),
        run: 'fleetctl invite',
      })
    expect(n2.log()).toContain('"event":"twin"')
  }, 240_000)
})
