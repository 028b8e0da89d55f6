import { describe, expect, test } from 'vitest'
import { loadCorpus } from './corpus.ts'
import { check, watchCompiling } from './oracles.ts'
import { TARGETS } from './targets/index.ts'

watchCompiling()

describe('whatever comes from outside is taken or refused, and never more than that', () => {
  test.each(TARGETS)('$name', async target => {
    await target.open?.()
    let taken = 0
    for (const input of [...target.seeds(), ...loadCorpus(target.name)])
      if ((await check(target, input)).refusal === undefined) taken += 1
    await target.close?.()
    // Some of them are well-formed, or nothing behind the first check was ever reached.
    expect(taken).toBeGreaterThan(0)
  })

  test('a target has a name of its own', () => {
    expect(new Set(TARGETS.map(({ name }) => name)).size).toBe(TARGETS.length)
  })
})
