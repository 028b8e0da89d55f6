import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Figure } from '../report.ts'

export interface Setting {
  readonly count: number
  /** K: how many may be down at once. */
  readonly budget: number
  /** How long each has to stay healthy. Milliseconds. */
  readonly minHealthy: number
}

/** What a rollout took, and what its clients noticed. */
export interface Rolled {
  /** From the command to the prompt. */
  readonly seconds: number
  /** From the moment that a host goes out of service until it is healthy again, mean. Seconds. */
  readonly disrupt: number
  /** The most hosts that were out of service, or not proved yet, at one moment. */
  readonly atOnce: number
  readonly asked: number
  readonly failed: number
  readonly failedTwice: number
}

/** The same small program on either side. It finishes what it has begun when it is told to stop. */
const SERVER = `
const server = require('node:http').createServer((request, response) => response.end(VERSION))
server.listen(Number(process.env.PORT), '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
`

export const writeVersion = (dir: string, version: string): void =>
  writeFileSync(join(dir, 'server.js'), `const VERSION = ${JSON.stringify(version)}\n${SERVER}`)

/** No rollout of N hosts, K at a time, each of which is down for a while and then watched, can be over before. Seconds. */
export const boundOf = ({ count, budget, minHealthy }: Setting, disrupt: number): number =>
  Math.ceil(count / budget) * (disrupt + minHealthy / 1_000)

export function figuresOf(setting: Setting, rolled: Rolled, target?: number): Figure[] {
  const { count, budget, minHealthy } = setting
  const bound = boundOf(setting, rolled.disrupt)
  const ratio = rolled.seconds / bound
  return [
    {
      what: `${count} hosts, ${budget} at a time, each healthy for ${minHealthy / 1_000} s`,
      value: rolled.seconds,
      unit: 's',
    },
    { what: 'a host is down for, mean', value: rolled.disrupt, unit: 's' },
    { what: 'bound: ceil(N/K) * (down + healthy)', value: bound, unit: 's' },
    {
      what: 'time / bound',
      value: ratio,
      unit: 'x',
      ...(target === undefined ? {} : { target: `at most ${target}`, held: ratio <= target }),
    },
    {
      what: 'most at once',
      value: rolled.atOnce,
      unit: '',
      target: `at most ${budget}`,
      held: rolled.atOnce <= budget,
    },
    { what: 'requests of clients', value: rolled.asked, unit: '' },
    { what: 'failed at the first host', value: rolled.failed, unit: '' },
    { what: 'failed at another host too', value: rolled.failedTwice, unit: '' },
  ]
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
