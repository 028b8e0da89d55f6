import { expect, test } from 'vitest'
import { createMemberChanges, inParts } from '../../../daemon/member-changes.ts'
import { conditionOf, createFleetReader, EVERYBODY, select } from '../../../daemon/web/page/fleet.ts'
import { addressOf, ageOf, bytesOf, numberOf, payloadOf } from '../../../daemon/web/page/format.ts'
import { membersLink, parseRoute } from '../../../daemon/web/page/route.ts'
import { countsOf, divergenceOf, fetchingOf, mapOf } from '../../../daemon/web/page/summary.ts'
import type { MembersChange, NodeId } from '../../../protocol/index.ts'
import { member } from '../api/fake-service.ts'
import { simulatedFleet } from './support.ts'

const fleetOf = (members = simulatedFleet(500)) => ({
  members: new Map(members.map(each => [each.id as string, each])),
  whole: true,
})

test('the daemon tells who is new, other or gone, and round trips alone are no news', () => {
  const changes = createMemberChanges()
  const [a, b] = [member('a'), member('b')]
  expect(changes([a, b]).members).toHaveLength(2)
  expect(changes([a, { ...b, rttMs: 7, estimatedRttMs: 8 }])).toEqual({ members: [], gone: [] })
  expect(changes([{ ...a, health: 'failing' }])).toMatchObject({ members: [{ name: 'a' }], gone: [b.id] })
})

test('a large change comes in parts, a first of nobody in one, and no change in none', () => {
  const members = simulatedFleet(1_001)
  const parts = [...inParts({ members, gone: [members[0]!.id] }, true)]
  expect(parts.flatMap(part => part.members)).toEqual(members)
  expect(parts.map(({ more }) => more)).toEqual([true, true, false])
  expect(parts.flatMap(({ gone }) => gone)).toHaveLength(1)
  expect([...inParts({ members: [], gone: [] }, true)]).toEqual([{ members: [], gone: [], more: false }])
  expect([...inParts({ members: [], gone: [] }, false)]).toEqual([])
})

test('what was told in parts is shown when it is whole', () => {
  const read = createFleetReader()
  const [a, b] = [member('a'), member('b')]
  const change = (members: (typeof a)[], gone: NodeId[], more: boolean): MembersChange => ({ members, gone, more })
  expect(read(change([a], [], true))).toBeUndefined()
  const first = read(change([b], [], false))!
  expect([...first.members.keys()]).toEqual([a.id, b.id])
  const second = read(change([], [a.id], false))!
  expect([...second.members.keys()]).toEqual([b.id])
  expect(first.members.size).toBe(2)
})

test('the condition of a member is the worst that holds of it', () => {
  const layer = (state: 'running' | 'verifying' | 'failed') => ({
    layers: [{ layer: 'app', digest: null, version: null, state, progress: 1 }],
  })
  expect(conditionOf(member('a'))).toBe('well')
  expect(conditionOf(member('a', { status: 'overdue' }))).toBe('failed')
  expect(conditionOf(member('a', { status: 'failed', ...layer('verifying') }))).toBe('failed')
  expect(conditionOf(member('a', { ...layer('verifying'), health: 'failing' }))).toBe('changing')
  expect(conditionOf(member('a', layer('failed')))).toBe('failing')
  expect(conditionOf(member('a', { health: 'unknown' }))).toBe('unknown')
})

test('members are found by name, version, tag and beginning of an id, and ordered as people count', () => {
  const fleet = fleetOf([
    member('web-10'),
    member('web-9', { tags: { rack: 'r7' } }),
    member('db-1', { status: 'failed', zone: 'z9', taint: ['hotfix'] }),
  ])
  const names = (text: string, order: 'name' | 'condition' = 'name') =>
    select(fleet, { ...EVERYBODY, text }, order).map(({ name }) => name)
  expect(names('')).toEqual(['db-1', 'web-9', 'web-10'])
  expect(names('WEB')).toEqual(['web-9', 'web-10'])
  expect(names('rack=r7')).toEqual(['web-9'])
  expect(names('shop:v1')).toHaveLength(3)
  expect(names('', 'condition')[0]).toBe('db-1')
  expect(names('tainted')).toEqual(['db-1'])
  expect(select(fleet, { ...EVERYBODY, condition: 'trouble' }, 'name').map(({ name }) => name)).toEqual(['db-1'])
  expect(select(fleet, { ...EVERYBODY, zone: 'z9' }, 'name')).toHaveLength(1)
  expect(select(fleet, { ...EVERYBODY, condition: 'well' }, 'since')).toHaveLength(2)
})

test('the map and the counts hold everybody once, and trouble comes first', () => {
  const fleet = fleetOf()
  const map = mapOf(fleet)
  const cells = map.zones.flatMap(zone => map.groups.flatMap(group => map.cell(zone, group) ?? []))
  expect(
    cells
      .flatMap(({ members }) => members)
      .map(({ id }) => id)
      .sort(),
  ).toEqual([...fleet.members.keys()].sort())
  const sum = (counts: object): number => Object.values(counts).reduce((all, count) => all + count, 0)
  expect(sum(countsOf(fleet.members.values()))).toBe(500)
  const troubled = map.zones.map(zone =>
    map.groups.reduce((all, group) => {
      const counts = map.cell(zone, group)?.counts
      return all + (counts === undefined ? 0 : counts.failed + counts.failing + counts.suspect)
    }, 0),
  )
  expect(troubled).toEqual([...troubled].sort((a, b) => b - a))
  expect(troubled[0]).toBeGreaterThan(0)
})

test('divergence counts the images of each layer, the most frequent first, and leaves out who left', () => {
  const app = (version: string, digest: string | null) => ({
    layers: [{ layer: 'app', digest: digest as never, version, state: 'running' as const, progress: 1 }],
  })
  const fleet = fleetOf([
    member('a', app('v1', '1')),
    member('b', app('v2', '2')),
    member('c', app('v2', '2')),
    member('d', { ...app('v3', '3'), status: 'left' }),
  ])
  expect(divergenceOf(fleet)).toEqual([
    {
      layer: 'app',
      members: 3,
      images: [
        { digest: '2', version: 'v2', count: 2 },
        { digest: '1', version: 'v1', count: 1 },
      ],
    },
  ])
  expect(fetchingOf([...fleet.members.values()])).toBeUndefined()
})

test('a link leads back to what it was made from, and nonsense to the fleet', () => {
  const filter = { text: 'a b&c', condition: 'failed', zone: 'z/1', group: '' }
  expect(parseRoute(membersLink(filter))).toEqual({ view: 'members', filter })
  expect(parseRoute('#/members/%E0%A4%A')).toEqual({ view: 'members', filter: EVERYBODY })
  expect(parseRoute('#/rollouts/web')).toEqual({ view: 'rollout', name: 'web' })
  expect(parseRoute('#/nothing')).toEqual({ view: 'fleet' })
})

test('ages, sizes, numbers, addresses and payloads are written for people', () => {
  expect([0, 61_000, 3_600_000, 200_000_000].map(ageOf)).toEqual(['now', '1 min', '1 h', '2 d'])
  expect([512, 1536, 200 * 1024 ** 2].map(bytesOf)).toEqual(['512 B', '1.5 KiB', '200 MiB'])
  expect([999, 5_000, 1_234_567].map(numberOf)).toEqual(['999', '5\u202f000', '1\u202f234\u202f567'])
  expect(addressOf('/ip6/2001:db8::1/tcp/7946')).toBe('[2001:db8::1]:7946')
  expect(payloadOf(Buffer.from('grün').toString('base64url'))).toBe('grün')
  expect(payloadOf(Buffer.from([0xff, 0xfe]).toString('base64url'))).toBe('2 bytes')
  expect(payloadOf(Buffer.from('\u202eevil').toString('base64url'))).toMatch(/bytes/)
})
