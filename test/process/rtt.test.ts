import { expect, test } from 'vitest'
import { sandbox } from '../support/daemons.ts'
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
    const itself = await first!.ctl('rtt', first!.name)
    expect(itself.code).toBe(2)
    expect(itself.stderr).toContain('name two different nodes')
  } finally {
    await box.close()
  }
}, 120_000)
