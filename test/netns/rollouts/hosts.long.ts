import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { NodeId } from '../../../protocol/index.ts'
import { skipped } from '../../support/netns.ts'
import { eventually } from '../../support/wait.ts'
import { on, passed } from '../support.ts'
import { type RolloutFleet, rolloutFleet, wipe } from './fleet.ts'

// Rollouts while hosts fail: `npm run test:ledger-netns`. After each, what every process did is judged. Two hosts and a disk are lost on the way.

describe.skipIf(skipped('rollouts/hosts.long.ts'))('nine hosts, two of which may be down at once', () => {
  let here = [0, 1, 2, 3, 4, 5, 6, 7, 8]
  let fleet: RolloutFleet
  let replaced = 0

  beforeAll(async () => {
    fleet = await rolloutFleet(here.length)
  }, 180_000)
  afterAll(() => fleet?.close())

  const judged = (replacements: number): void => {
    replaced += replacements
    fleet.judge(replaced)
  }
  /** Hosts whose loss costs no vote. */
  const loose = async (): Promise<number[]> => {
    const voters = await fleet.voters(0)
    return here.filter(index => !voters.includes(index))
  }
  const lose = async (index: number): Promise<void> => {
    await fleet.powerOff(index)
    here = here.filter(other => other !== index)
  }
  /** All have gone but one, which is not there. */
  const allButOne = () =>
    fleet.until(0, 'all but one to have gone', ({ phase, ok, total }) => phase === 'done' || ok >= total - 1)

  test('the host at which the plan was given is lost for good, and the others go on', async () => {
    const [initiator] = await loose()
    const holder = fleet.nextHolder(here)
    await fleet.begin(initiator!)
    await holder
    await lose(initiator!)
    if ((await allButOne()).phase !== 'done') await fleet.writeOff(0, initiator!)
    await fleet.done(0)
    judged(here.length)
  }, 240_000)

  test('a host that is lost in the middle of its own replacement counts until it is written off', async () => {
    const holding = fleet.nextHolder(await loose())
    await fleet.begin(0)
    const { index, token } = await holding
    await lose(index)
    const standing = await allButOne()
    expect(standing).toMatchObject({ phase: 'rolling' })
    expect(standing.permits.map(permit => permit.token)).toEqual([token])
    await fleet.verb(0, 'pause', '--reason', 'a host is gone')
    await fleet.writeOff(0, index)
    await fleet.verb(0, 'resume')
    expect((await fleet.done(0)).permits).toEqual([])
    judged(here.length)
  }, 240_000)

  test('a host that stands still for 30 s after its grant does nothing of what is over meanwhile', async () => {
    const holding = fleet.nextHolder(here.filter(index => index !== 0))
    await fleet.begin(0)
    const { index, token } = await holding
    fleet.daemons[index]!.kill('SIGSTOP')
    const stopped = performance.now()
    await fleet.verb(0, 'abort', '--reason', 'another is better')
    const image = await fleet.begin(0)
    await eventually('30 s to be over', () => performance.now() - stopped >= 30_000, { seconds: 60, everyMs: 500 })
    expect((await fleet.ledger(0)).permits.map(permit => permit.token)).toContain(token)
    fleet.daemons[index]!.kill('SIGCONT')
    expect(await fleet.done(0)).toMatchObject({ ok: here.length, failed: 0, image: { version: image } })
    judged(here.length)
  }, 240_000)

  test('all voters are killed at once in mid-rollout, and it goes on where it was once they are back', async () => {
    const holder = fleet.nextHolder(here)
    await fleet.begin(0)
    await holder
    const voters = await fleet.voters(0)
    for (const index of voters) fleet.daemons[index]!.kill('SIGKILL')
    for (const index of voters) await fleet.daemons[index]!.exited()
    await passed(3)
    for (const index of voters) await fleet.powerOn(index)
    expect(await fleet.done(0)).toMatchObject({ ok: here.length, failed: 0 })
    judged(here.length)
  }, 240_000)

  test('a voter whose disk is empty comes back as somebody else, and never votes under its old name', async () => {
    const victim = (await fleet.voters(0)).find(index => index !== 0)!
    const name = fleet.hosts[victim]!.name
    const before = (await fleet.ids(0)).get(name)!
    const holder = fleet.nextHolder(here.filter(index => index !== victim))
    await fleet.begin(0)
    await holder
    await fleet.powerOff(victim)
    fleet.recorder.rescue(fleet.daemons[victim]!)
    wipe(fleet.daemons[victim]!)
    const { token } = await fleet.daemons[0]!.json<{ token: string }>('invite', '--ttl', '1h', '--group', 'web')
    fleet.daemons[victim] = await fleet.daemons[victim]!.restart({ ...on(fleet.hosts[victim]!), join: [token] })
    fleet.recorder.follow(fleet.daemons[victim]!)
    const { id } = await fleet.daemons[victim]!.json<{ id: string }>('info')
    expect(id).not.toBe(before)
    await allButOne()
    await fleet.writeOff(0, victim, before)
    await fleet.done(0)
    await eventually('the newcomer to run what its group runs', async () => {
      const { targets } = await fleet.ledger(0)
      return fleet.recorder.running(name) === targets.app
    })
    // It is gone for good, and another takes its place: it too, but as who it is now.
    await eventually('another to vote in its place', async () => {
      const voters = (await fleet.ledger(0)).voters.map(({ node }) => node)
      return voters.length === 5 && !voters.includes(before as NodeId)
    })
    judged(here.length - 1)
  }, 240_000)
})
