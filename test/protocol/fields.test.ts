import { expect, test } from 'vitest'
import * as z from 'zod'
import { recordOf } from '../../protocol/statements/fields.ts'

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
