import { expect, test } from 'vitest'
import { filterOf, type MemberFilter, memberRecord, recordsOf } from '../../../daemon/serf-rpc/members.ts'
import type { MemberView } from '../../../membership/index.ts'
import type { Address } from '../../../protocol/index.ts'
import { member } from './fake-backend.ts'

const filtered = (members: MemberView[], filter: MemberFilter): MemberView[] => members.filter(filterOf(filter))
const names = (list: { name: string }[]): string[] => list.map(({ name }) => name)
const all = { tags: {}, status: '', name: '' }

test('a member is told with its first numeric address, in 4 or 16 bytes', () => {
  const at = (...addresses: string[]) => memberRecord(member('a', { addresses: addresses as Address[] }))
  expect(at('/ip4/192.0.2.7/tcp/7946')).toMatchObject({ Addr: Uint8Array.of(192, 0, 2, 7), Port: 7946 })
  expect(at('/dns/a.example/tcp/1', '/ip6/2001:db8::7/tcp/2')).toMatchObject({
    Addr: new Uint8Array(Buffer.from('20010db8000000000000000000000007', 'hex')),
    Port: 2,
  })
  expect(at('/dns/a.example/tcp/1')).toMatchObject({ Addr: null, Port: 1 })
  expect(at()).toMatchObject({ Addr: null, Port: 0 })
})

test('filters match the whole text, in the syntax of RE2', () => {
  const fleet = [
    member('web-1', { tags: { role: 'web' } }),
    member('web-10', { tags: { role: 'webserver' } }),
    member('db-1', { status: 'failed' }),
  ]
  expect(names(filtered(fleet, { ...all, name: 'web-1' }))).toEqual(['web-1'])
  expect(names(filtered(fleet, { ...all, name: 'db-1|web-1' }))).toEqual(['web-1', 'db-1'])
  expect(names(filtered(fleet, { ...all, name: '(?i)WEB-\\d+' }))).toEqual(['web-1', 'web-10'])
  expect(names(filtered(fleet, { ...all, tags: { role: 'web' } }))).toEqual(['web-1'])
  expect(names(filtered(fleet, { ...all, tags: { role: '' } }))).toEqual(['db-1'])
  expect(names(filtered(fleet, { ...all, status: 'alive' }))).toEqual(['web-1', 'web-10'])
  expect(() => filtered(fleet, { ...all, name: '[' })).toThrow('Failed to compile regex')
  expect(() => filtered(fleet, { ...all, name: 'a'.repeat(513) })).toThrow('longer than 512')
  expect(() => filtered(fleet, { ...all, name: '(a{0,30}){0,30}' })).toThrow('too large together')
})

test('states are told in the words that Serf has', () => {
  const told = (['alive', 'suspect', 'away', 'overdue', 'left', 'failed'] as const).map(
    status => memberRecord(member('a', { status })).Status,
  )
  expect(told).toEqual(['alive', 'alive', 'alive', 'failed', 'left', 'failed'])
})

test('an expression that would keep a backtracking engine busy for years is answered', () => {
  const [found] = filtered([member('a'.repeat(100))], { ...all, name: '(a+)+(a+)+(a+)+(a+)+b?' })
  expect(found).toBeDefined()
  expect(filtered([member('a'.repeat(100))], { ...all, name: '(a+)+(a+)+(a+)+(a+)+b' })).toEqual([])
})

test('a large fleet is told whole and in order, and other work goes on meanwhile', async () => {
  const fleet = Array.from({ length: 1_000 }, (_, i) => member(`n${i}`))
  let over = false
  let turns = 0
  const counting = (): void => {
    turns += 1
    if (!over) setImmediate(counting)
  }
  setImmediate(counting)
  const records = await recordsOf(fleet, filterOf({ ...all, name: 'n\\d*[02468]' }))
  over = true
  expect(records.map(({ Name }) => Name)).toEqual(fleet.filter((_, i) => i % 2 === 0).map(({ name }) => name))
  expect(turns).toBeGreaterThan(1)
})
