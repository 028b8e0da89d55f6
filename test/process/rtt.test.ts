import { expect, test } from 'vitest'
import { type Daemon, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

interface Rtt {
  readonly rttMs: number
  readonly measured: boolean
  readonly estimatedRttMs: number | null
}

test('three daemons on one host know how near they are, those that they measured and those that they did not', async () => {
  const box = await sandbox()
  try {
    const [first, second, third] = await box.fleet(3)
    const between = async (...names: string[]): Promise<Rtt> =>
      eventually(`a round trip of ${names.join(' and ')}`, async () => first!.json<Rtt>('rtt', ...names))
    const measured = await eventually('a measured one', async () => {
      const rtt = await between(second!.name)
      return rtt.measured && rtt.estimatedRttMs !== null && rtt
    })
    const estimated = await between(second!.name, third!.name)
    expect(estimated.measured).toBe(false)
    for (const { rttMs } of [measured, estimated]) {
      expect(rttMs).toBeGreaterThan(0)
      // On loopback: seconds would mean that units are mixed up.
      expect(rttMs).toBeLessThan(1_000)
    }
    const { members } = await first!.json<{ members: { name: string }[] }>('members', '--sort', 'rtt')
    expect(members.at(-1)!.name).toBe(first!.name)
    await examined(first!, second!, third!)
    const itself = await first!.ctl('rtt', first!.name)
    expect(itself.code).toBe(2)
    expect(itself.stderr).toContain('name two different nodes')
  } finally {
    await box.close()
  }
}, 120_000)

/** What the doctor says of the three, of which the last is then gone. */
async function examined(first: Daemon, second: Daemon, third: Daemon): Promise<void> {
  const doctor = async (daemon: Daemon) => {
    const { code, stdout } = await daemon.ctl('doctor', '--format', 'json')
    return { code, ...(JSON.parse(stdout) as Diagnosis) }
  }
  const well = await eventually('all to be well', async () => {
    const found = await doctor(first)
    return found.findings.length === 0 && found
  })
  expect(well).toMatchObject({ code: 0, problems: 0, warnings: 0 })
  const said = Object.fromEntries(well.good.map(({ check, text }) => [check, text]))
  expect(said).toMatchObject({
    clock: 'within a second of 2 other members',
    ports: '2 other members can be connected to',
    reachable: '2 other members can connect to this node',
    answers: '2 other members answered',
    quorum: 'the ledgers of 1 group can be read from a majority',
  })
  third.kill('SIGKILL')
  const ill = await eventually('the third to be missed', async () => {
    const found = await doctor(second)
    return found.findings.some(({ check, what }) => check === 'members' && what.includes('is failed')) && found
  })
  expect(ill.code).toBe(1)
  expect(ill.findings).toContainEqual({
    check: 'members',
    severity: 'problem',
    what: `${third.name} is failed: the host answers, and fleetd does not run there`,
    mend: expect.stringContaining(`fleetctl force-leave ${third.name}`),
    on: third.name,
    run: 'systemctl start fleetd',
  })
}

interface Diagnosis {
  readonly problems: number
  readonly warnings: number
  readonly findings: readonly { readonly check: string; readonly what: string }[]
  readonly good: readonly { readonly check: string; readonly text: string }[]
}
