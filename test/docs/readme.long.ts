import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'
import { office } from '../support/hosts.ts'
import { skipped } from '../support/netns.ts'
import { follow } from './follow.ts'

// README's own commands, on two hosts with nothing but fleetd on them: `npm run test:docs`.

const README = readFileSync(resolve(import.meta.dirname, '../../README.md'), 'utf8')
/** From the heading of the first fleet to the end of the first rollout. */
const first = /^## A first fleet[\s\S]*?(?=^## The page)/m.exec(README)![0]

/** Who follows it has to read, too. */
const LIMIT = 5 * 60_000

test.skipIf(skipped('README'))(
  'from nothing to two hosts in one fleet and a rollout in under five minutes',
  async () => {
    const { computers, close } = await office(['alpha', 'beta'])
    try {
      const began = performance.now()
      const typed = await follow(first, computers)
      const took = performance.now() - began
      console.log(`README: ${typed} commands, ${(took / 1000).toFixed(0)} s`)
      expect(typed).toBeGreaterThanOrEqual(7)
      expect(took).toBeLessThan(LIMIT)
    } finally {
      close()
    }
  },
  600_000,
)
