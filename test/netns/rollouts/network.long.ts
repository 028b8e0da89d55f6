import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { skipped } from '../../support/netns.ts'
import { addressOf, allSeeAlive, passed } from '../support.ts'
import { K, type RolloutFleet, rolloutFleet } from './fleet.ts'

// Rollouts while the network fails: `npm run test:ledger-netns`. After each, what every process did is judged, both sides summed.

describe.skipIf(skipped('rollouts/network.long.ts'))('seven hosts, two of which may be down at once', () => {
  const ALL = [0, 1, 2, 3, 4, 5, 6]
  let fleet: RolloutFleet
  let replaced = 0

  beforeAll(async () => {
    fleet = await rolloutFleet(ALL.length)
  }, 180_000)
  afterAll(() => fleet?.close())

  /** A rollout is under way, and the first has drained. */
  const inTheMiddle = async (): Promise<void> => {
    const holder = fleet.nextHolder(ALL)
    await fleet.begin(0)
    await holder
  }
  const judged = async (): Promise<void> => {
    fleet.heal()
    expect(await fleet.done(0)).toMatchObject({ ok: ALL.length, failed: 0 })
    replaced += ALL.length
    fleet.judge(replaced)
    await allSeeAlive(fleet.daemons)
  }

  test('cut into four and three in mid-rollout, they finish once they are together again', async () => {
    await inTheMiddle()
    fleet.cut([0, 1, 2, 3], [4, 5, 6])
    await passed(15)
    await judged()
  }, 240_000)

  test('cut into four and three again and again, they finish', async () => {
    await inTheMiddle()
    for (let round = 0; round < 6; round++) {
      fleet.cut([0, 1, 2, 3], [4, 5, 6])
      await passed(2)
      fleet.heal()
      await passed(2)
    }
    await judged()
  }, 240_000)

  test('with hosts that hear nothing of the others, though they are heard, they finish', async () => {
    await inTheMiddle()
    for (const index of [4, 5, 6]) fleet.hosts[index]!.deafTo(...[0, 1, 2, 3].map(addressOf))
    await passed(8)
    fleet.heal()
    // And the other way round, for a minority of the voters.
    for (const index of [0, 1]) fleet.hosts[index]!.deafTo(...[2, 3, 4, 5, 6].map(addressOf))
    await passed(8)
    await judged()
  }, 240_000)

  test('of two plans that two operators submit at two hosts within 50 ms, one begins and the other is told so', async () => {
    const images = [await fleet.image(0), await fleet.image(0)]
    const bodies: string[] = []
    for (const [index, image] of images.entries()) {
      const file = join(fleet.box.dir, `plan-${index}`)
      expect(await fleet.start(0, image, '--max-unavailable', `${K}`, '--sign', file)).toMatchObject({
        code: 0,
      })
      bodies.push(JSON.stringify({ statement: readFileSync(file, 'utf8').trim() }))
    }
    const sent: number[] = []
    const answers = await Promise.all(
      bodies.map((body, index) => {
        sent.push(performance.now())
        return submit(fleet.daemons[3 * index]!.socket, body)
      }),
    )
    expect(sent[1]! - sent[0]!).toBeLessThan(50)
    expect(answers.map(({ status }) => status).sort(), JSON.stringify(answers)).toEqual([200, 409])
    const refused = answers.find(({ status }) => status === 409)!
    expect(refused.body).toMatch(/generation \d+ is (active|not newer)/)
    await judged()
  }, 240_000)
})

function submit(socketPath: string, body: string): Promise<{ status: number; body: string }> {
  return new Promise((done, fail) => {
    const headers = { 'content-type': 'application/json' }
    const call = request({ socketPath, path: '/v1/rollouts', method: 'POST', headers, agent: false }, answer => {
      let text = ''
      answer.setEncoding('utf8').on('data', part => {
        text += part
      })
      answer.once('end', () => done({ status: answer.statusCode!, body: text }))
    })
    call.once('error', fail).end(body)
  })
}
