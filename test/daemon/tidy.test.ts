import { expect, test } from 'vitest'
import { startTidying } from '../../daemon/tidy.ts'
import { eventually } from '../support/wait.ts'

test('what the heap holds is known from the last collection on, and SIGUSR2 asks for one', async () => {
  let collected = 0
  const tidy = startTidying(() => {
    collected += 1
  })
  expect(tidy.heapAfter()).toBeUndefined()
  process.kill(process.pid, 'SIGUSR2')
  await eventually('a collection', () => tidy.collections() === 1)
  expect(collected).toBe(1)
  expect(tidy.heapAfter()).toBeGreaterThan(1024 * 1024)
  tidy.stop()
  expect(process.listenerCount('SIGUSR2')).toBe(0)
})

test('without the collector nothing is claimed', async () => {
  const tidy = startTidying(undefined)
  let heard = false
  process.once('SIGUSR2', () => {
    heard = true
  })
  process.kill(process.pid, 'SIGUSR2')
  await eventually('the signal', () => heard)
  expect(tidy.collections()).toBe(0)
  expect(tidy.heapAfter()).toBeUndefined()
  tidy.stop()
})
