import { expect, test } from 'vitest'
import { createMemberWords } from '../../daemon/member-words.ts'
import type { MemberEvent, MemberView } from '../../membership/index.ts'

const told = (...events: MemberEvent[]): (string | undefined)[] => {
  const words = createMemberWords()
  return events.map((event, index) =>
    words(event, { id: 'x', tags: { turn: event === 'update' ? String(index) : 'first' } } as unknown as MemberView),
  )
}

test('a member that comes, changes, fails, is given up and forgotten is told so in those words', () => {
  expect(told('join', 'update', 'failed', 'leave', 'reap')).toEqual(['join', 'update', 'failed', 'leave', 'reap'])
})

test('news that changes no label and no address is no update', () => {
  const words = createMemberWords()
  const member = (health: string, zone: string): MemberView => ({ id: 'x', health, zone }) as unknown as MemberView
  expect(words('join', member('unknown', 'a'))).toBe('join')
  expect(words('update', member('passing', 'a'))).toBeUndefined()
  expect(words('update', member('passing', 'b'))).toBe('update')
})

test('a suspicion that is refuted is told to nobody', () => {
  expect(told('join', 'suspect', 'update')).toEqual(['join', undefined, 'update'])
  expect(told('join', 'suspect', 'failed', 'join')).toEqual(['join', undefined, 'failed', 'join'])
})

test('one that is away as it may be has neither left nor come; one that is overdue is missing', () => {
  expect(told('join', 'away', 'join')).toEqual(['join', undefined, undefined])
  expect(told('join', 'away', 'overdue', 'join')).toEqual(['join', undefined, 'failed', 'join'])
})

test('who is first heard of when it is doubted or away is a member all the same', () => {
  expect(told('suspect', 'update')).toEqual(['join', 'update'])
  expect(told('away', 'overdue')).toEqual(['join', 'failed'])
  expect(told('failed', 'update', 'join')).toEqual(['failed', undefined, 'join'])
})
