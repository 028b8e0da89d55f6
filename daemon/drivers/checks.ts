import type { Health } from '../../protocol/index.ts'
import type { CheckConfig } from './config.ts'
import { pause } from './deadline.ts'
import { healthOf, type Tally, tallied, UNKNOWN } from './health.ts'
import { type ProbeSetting, probe } from './probes.ts'

/** Looks at a running program, each check at its own interval. */
export interface Checks {
  /** Forgets what it knew and begins to look. */
  reset(setting: ProbeSetting): void
  /** Ends every look; `health` stays what it was. */
  stop(): void
  health(): { readonly health: Health; readonly reason: string }
}

/** `onChange` is called when a look changes what `health` says, never from within `reset` or `stop`. */
export function createChecks(configs: readonly CheckConfig[], onChange: () => void): Checks {
  let tallies: Tally[] = configs.map(() => UNKNOWN)
  let life = new AbortController()

  const health = (): { health: Health; reason: string } =>
    healthOf(configs.map(({ name }, index) => ({ name, tally: tallies[index]! })))

  const repeat = async (index: number, setting: ProbeSetting, signal: AbortSignal): Promise<void> => {
    const config = configs[index]!
    while (!signal.aborted) {
      const problem = await probe(config, setting, signal)
      if (signal.aborted) return
      const before = health()
      tallies[index] = tallied(tallies[index]!, problem, config)
      const after = health()
      if (after.health !== before.health || after.reason !== before.reason) onChange()
      await pause(config.interval, signal)
    }
  }

  return {
    health,
    reset(setting) {
      life.abort()
      life = new AbortController()
      tallies = configs.map(() => UNKNOWN)
      for (const index of configs.keys()) void repeat(index, setting, life.signal)
    },
    stop: () => life.abort(),
  }
}
