import { expect, test } from 'vitest'
import type { Happening } from '../../../daemon/happenings.ts'
import { lets, parseFilters } from '../../../daemon/serf-rpc/happenings.ts'
import { type Millis, millis, type NodeId } from '../../../protocol/index.ts'
import { incoming, member } from './fake-backend.ts'

const joined: Happening = { type: 'members', event: 'join', members: [member('a')] }
const event = (name: string): Happening => ({
  type: 'event',
  event: {
    ...{ cursor: 1, author: '12D3Koo' as NodeId, seq: 1, ltime: 2, name, payload: new Uint8Array(), coalesce: false },
    at: millis(0) as Millis,
  },
})
const query = (name: string): Happening => ({ type: 'query', query: incoming(name, new Uint8Array(), []) })
const told = (filter: string, happening: Happening): boolean => lets(parseFilters(filter)!, happening)

test('a stream tells of the types that were asked for, and of all when none was named', () => {
  for (const filter of ['', '*', 'member-join', 'user,member-join']) expect(told(filter, joined)).toBe(true)
  for (const filter of ['member-leave', 'user', 'query', 'user:member-join']) expect(told(filter, joined)).toBe(false)
})

test('user events and queries can be asked for by name', () => {
  expect(told('user:deploy', event('deploy'))).toBe(true)
  expect(told('user:deploy', event('other'))).toBe(false)
  expect(told('user', event('other'))).toBe(true)
  expect(told('user:', event('other'))).toBe(true)
  expect(told('query:load', query('load'))).toBe(true)
  expect(told('query:load', event('load'))).toBe(false)
})

test('nobody is told of what agents ask each other', () => {
  expect(told('*', query('_serf_ping'))).toBe(false)
  expect(told('query', query('_serf_ping'))).toBe(false)
})

test('what is no type is no filter', () => {
  for (const filter of ['member', 'user,', 'member-join:a', 'USER', ','.repeat(3), 'user,'.repeat(64) + 'user'])
    expect(parseFilters(filter)).toBeUndefined()
})
