import { expect, test } from 'vitest'
import { block, cut, fitted, unbroken, widthOf } from '../../cli/fit.ts'
import { createPaint } from '../../cli/paint.ts'
import { type Column, fields, table } from '../../cli/table.ts'

interface Host {
  readonly name: string
  readonly zone: string
  readonly state: string
  readonly size: string
  readonly reason: string
}

const paint = createPaint(false)
const COLUMNS: readonly Column<Host>[] = [
  { head: 'NAME', cell: host => host.name },
  { head: 'ZONE', cell: host => host.zone, spare: true },
  { head: 'STATE', cell: host => ({ text: host.state, tint: 'green' }) },
  { head: 'SIZE', cell: host => host.size, align: 'right' },
  { head: 'REASON', cell: host => host.reason },
]
const HOSTS: readonly Host[] = [
  {
    name: 'alpha',
    zone: 'rotterdam',
    state: 'up',
    size: '12 B',
    reason: 'all is as it should be, and has been so for a while',
  },
  { name: 'beta', zone: 'ams', state: 'failed', size: '345 KiB', reason: '' },
]
const lines = (width?: number): string[] => table(COLUMNS, HOSTS, paint, width).split('\n')

test('a table that fits, or is read by a program, has one line a row', () => {
  const rows = [
    'NAME   ZONE       STATE      SIZE  REASON',
    'alpha  rotterdam  up         12 B  all is as it should be, and has been so for a while',
    'beta   ams        failed  345 KiB  -',
  ]
  expect(lines()).toEqual(rows)
  expect(lines(86)).toEqual(rows)
})

test('a last column with room is broken into lines in its place', () => {
  expect(lines(70)).toEqual([
    'NAME   ZONE       STATE      SIZE  REASON',
    'alpha  rotterdam  up         12 B  all is as it should be, and has',
    '                                   been so for a while',
    'beta   ams        failed  345 KiB  -',
  ])
})

test('in a narrow terminal spare columns go below their row first, what says nothing is left out, and nothing is cut', () => {
  expect(lines(30)).toEqual([
    'NAME   STATE      SIZE',
    'alpha  up         12 B',
    '      reason all is as it',
    '        should be, and has',
    '        been so for a while',
    '      zone rotterdam',
    'beta   failed  345 KiB',
    '      zone ams',
  ])
})

test('only a name that is wider than the terminal is cut, and says so', () => {
  expect(
    table(COLUMNS, [{ ...HOSTS[1]!, name: 'a-very-long-name' }], paint, 8)
      .split('\n')
      .slice(0, 2),
  ).toEqual(['NAME', 'a-very-…'])
})

test('wide characters take two columns, and escape sequences none', () => {
  const rows = table(COLUMNS, [{ ...HOSTS[1]!, name: '店舗' }, HOSTS[1]!], createPaint(true)).split('\n')
  expect(rows.slice(1).map(row => widthOf(row.slice(0, row.indexOf('ams'))))).toEqual([6, 6])
  expect(cut('店舗一', 4)).toBe('店…')
})

test('a value that is too wide goes on below itself', () => {
  expect(
    fields(
      [
        ['fleet', 'one two three'],
        ['id', 'x'],
      ],
      paint,
      15,
    ),
  ).toBe('fleet  one two\n       three\nid     x')
})

test('a sentence is broken at words; a digest, and a command that is to be copied, stay whole', () => {
  expect(fitted('  one two three\nfour', 10)).toBe('  one\n    two\n    three\nfour')
  expect(fitted(`see ${'a'.repeat(12)} there`, 10)).toBe(`see\n  ${'a'.repeat(12)}\n  there`)
  expect(fitted(`  ${unbroken('fleetctl drift alpha')}`, 10)).toBe('  fleetctl drift alpha')
  expect(fitted(block('ok  ', `then ${unbroken('do it all')}`, 12), 12)).toBe('ok  then\n    do it all')
  expect(fitted('one two three', undefined)).toBe('one two three')
})
