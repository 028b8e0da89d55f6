import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Real-process tests share two cores with everything else; files run one after another so that none starves another.
    fileParallelism: false,
    pool: 'forks',
  },
})
