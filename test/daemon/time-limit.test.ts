import { expect, test } from 'vitest'
import { timeLimit } from '../../daemon/time-limit.ts'
import { amongCollections } from '../support/collect.ts'

/** Waits for the end of a signal that nobody but the listener knows of. */
const ended = (signal: AbortSignal): Promise<string> =>
  new Promise(resolve => {
    signal.addEventListener('abort', () => resolve((signal.reason as Error).name), { once: true })
  })

test('a time limit holds though garbage is collected before, alone, with another signal and as a part of a further one', async () => {
  const [stopping, further] = [new AbortController(), new AbortController()]
  const all = [
    ended(timeLimit(300)),
    ended(timeLimit(300, stopping.signal)),
    ended(AbortSignal.any([timeLimit(300, stopping.signal), further.signal])),
  ]
  expect(await amongCollections(Promise.all(all))).toEqual(['TimeoutError', 'TimeoutError', 'TimeoutError'])
})

test('another signal ends it first', () => {
  const stopping = new AbortController()
  const limit = timeLimit(60_000, stopping.signal)
  stopping.abort(new Error('stopped'))
  expect(limit.reason).toEqual(new Error('stopped'))
})
