import { expect, test } from 'vitest'
import * as z from 'zod'
import { check, objectionText } from '../../protocol/index.ts'

test('what fits comes out as the schema makes it', () => {
  expect(check(z.string().transform(Number), '7')).toEqual({ success: true, data: 7 })
})

test('of what does not, the first thing is said, in one short line', () => {
  const checked = check(z.object({ list: z.array(z.string()) }), { list: Array(1_000).fill(1) })
  if (checked.success) throw new Error('taken')
  expect(objectionText(checked.objection)).toBe('Invalid input: expected string, received number at list[0]')
  const long = check(z.object({}).strict(), { ['x'.repeat(10_000)]: 1 })
  if (long.success) throw new Error('taken')
  expect(objectionText(long.objection).length).toBeLessThanOrEqual(512)
})

test('a map that passes for a list, with a length that cannot be measured, is refused like any other', () => {
  for (const value of [{ length: { toString: 1 } }, { length: { valueOf: null, toString: null } }])
    for (const schema of [z.array(z.string()).max(3), z.string().max(3), z.object({ length: z.string() })])
      expect(check<unknown>(schema, value).success).toBe(false)
})
