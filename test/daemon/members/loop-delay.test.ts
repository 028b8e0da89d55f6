import { afterEach, expect, test } from 'vitest'
import { type LoopDelay, watchLoopDelay } from '../../../daemon/members/loop-delay.ts'
import { eventually } from '../../support/wait.ts'

let loop: LoopDelay | undefined
afterEach(() => loop?.stop())

const hold = (milliseconds: number): void => {
  const until = performance.now() + milliseconds
  while (performance.now() < until) Math.sqrt(until)
}

test('a loop that was held is told, and told once', async () => {
  loop = watchLoopDelay()
  await eventually('a stall of 400 ms seen', () => {
    if (loop!.worst() >= 300) return true
    hold(400)
    return false
  })
  loop.stop()
  loop.worst()
  expect(loop.worst()).toBe(0)
})
