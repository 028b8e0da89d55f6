import { expect, test } from 'vitest'
import * as z from 'zod'
import { objection, recordOf } from '../../protocol/statements/fields.ts'

test('a record of too many entries is refused before one of them is looked at', () => {
  let looked = 0
  const value = z.custom<number>(each => {
    looked += 1
    return typeof each === 'number'
  })
  const schema = recordOf(z.string(), value, 3)
  expect(schema.parse({ a: 1, b: 2, c: 3 })).toEqual({ a: 1, b: 2, c: 3 })
  expect(looked).toBe(3)
  expect(schema.safeParse({ a: 1, b: 2, c: 3, d: 4 }).error?.issues).toMatchObject([
    { message: 'expected at most 3 entries' },
  ])
  expect(looked).toBe(3)
  for (const none of [null, undefined, 'text', 7]) expect(schema.safeParse(none).success).toBe(false)
})

test('what is objected to is the first thing, in one short line', () => {
  const { error } = z.object({ list: z.array(z.string()) }).safeParse({ list: Array(1_000).fill(1) })
  expect(error?.issues).toHaveLength(1_000)
  expect(objection(error!)).toMatch(/^\S* ?Invalid input: expected string, received number.*list\[0\]$/)
  const long = z
    .object({})
    .strict()
    .safeParse({ ['x'.repeat(10_000)]: 1 })
  expect(objection(long.error!).length).toBeLessThanOrEqual(512)
})
