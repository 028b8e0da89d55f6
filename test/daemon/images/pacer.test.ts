import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createPacer, type Pacer } from '../../../daemon/images/pacer.ts'
import { createCreditor } from '../../../daemon/images/parts.ts'
import { decodeMessage } from '../../../daemon/images/wire.ts'
import type { Channel } from '../../../daemon/network/index.ts'
import { millis } from '../../../protocol/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { eventually } from '../../support/wait.ts'
import { unthrottled } from './support.ts'

let now = 60_000
const [BUSY, IDLE] = [{}, {}]

async function fast(): Promise<Pacer> {
  const pacer = createPacer(() => millis(now))
  const lane = pacer.lane()
  const signal = AbortSignal.timeout(10_000)
  while (!pacer.free) {
    const given = await lane.take(() => 2 ** 20, signal)
    now += 1
    lane.came(given)
  }
  return pacer
}
/** Three seconds in which little comes. */
function trickle(pacer: Pacer, busy: boolean): void {
  for (let step = 0; step < 30; step++) {
    now += 100
    pacer.heard(BUSY, 1_000, busy)
    pacer.heard(IDLE, 0, false)
  }
}

test('that a fast link became a slow one is found while another download waits for nothing', async () => {
  const pacer = await fast()
  trickle(pacer, true)
  expect(pacer.free).toBe(false)
})

test('where no download waits for anything, that little comes says nothing of the link', async () => {
  const pacer = await fast()
  pacer.heard(BUSY, 0, true)
  pacer.heard(BUSY, 0, false)
  trickle(pacer, false)
  expect(pacer.free).toBe(true)
})

test('of a chunk that came packed nothing more is waited for, and others may send at once', async () => {
  const pacer = createPacer(() => millis(now))
  const closing = new AbortController()
  const sender = (peer: number) => {
    const asked = { bytes: 80_000, chunks: 1 }
    const credits: (number | null)[] = []
    const channel = {
      peer: nodeNumber(peer),
      async send(frame: Uint8Array) {
        const message = decodeMessage(frame)
        if (message.type === 'credit') credits.push(message.bytes)
      },
    } as Channel
    const creditor = createCreditor({
      ...{ channel, pacer, throttle: unthrottled, asked: () => asked, signal: closing.signal },
    })
    creditor.consider()
    return { asked, credits, creditor }
  }
  const first = sender(2)
  await eventually('a packet of the first', () => first.credits.length === 2, { everyMs: 1 })
  const second = sender(3)
  await eventually('that the second waits', () => second.credits.length === 1, { everyMs: 1 })
  now += 10
  // Less than what it has leave for.
  first.creditor.came(500)
  Object.assign(first.asked, { bytes: 0, chunks: 0 })
  first.creditor.consider()
  // And not when the pacer looks the next time.
  for (let turn = 0; turn < 20; turn++) await nextTurn()
  expect(first.credits).toEqual([0, 1_400])
  expect(second.credits).toEqual([0, 1_400])
  closing.abort()
})
