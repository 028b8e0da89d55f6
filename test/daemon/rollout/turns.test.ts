import { expect, test } from 'vitest'
import { createTurns } from '../../../daemon/rollout/turns.ts'

test('one layer of a host has the turn until it is done, and may ask again meanwhile', () => {
  const turns = createTurns()
  expect(turns.take('os')).toBeUndefined()
  expect(turns.take('app')).toBe('os')
  expect(turns.take('os')).toBeUndefined()
  turns.end('app')
  expect(turns.take('app')).toBe('os')
  turns.end('os')
  expect(turns.take('app')).toBeUndefined()
})

test('who was bound when the daemon started has it, and of two that were both are waited for', () => {
  const turns = createTurns()
  turns.resume('os')
  turns.resume('app')
  expect(turns.take('web')).toBe('os')
  turns.end('os')
  expect(turns.take('web')).toBe('app')
  turns.end('app')
  expect(turns.take('web')).toBeUndefined()
})
