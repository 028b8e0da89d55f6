import { defineConfig } from 'vitest/config'

/** Machines, codecs and simulations: nothing there waits for a process, a socket or a clock, so two files may run at once. */
const PURE = ['protocol', 'membership', 'rollout', 'sim', 'fuzz'].map(folder => `test/${folder}/**/*.test.ts`)

const limits = { testTimeout: 30_000, hookTimeout: 60_000, pool: 'forks' } as const

export default defineConfig({
  test: {
    projects: [
      { test: { ...limits, name: 'pure', include: PURE, maxWorkers: 2, sequence: { groupOrder: 0 } } },
      {
        test: {
          ...limits,
          name: 'real',
          // What takes its time is no part of `npm test`: `npm run test:rollout` names it.
          include: [process.env.LONG_TESTS === undefined ? 'test/**/*.test.ts' : 'test/**/*.long.ts'],
          exclude: PURE,
          // They share two cores with the processes that they start; one after another, so that none starves another.
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
