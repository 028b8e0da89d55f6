import type { Logger } from 'pino'
import { FleetError } from '../../protocol/index.ts'
import type { StepConfig } from './config.ts'
import { busy } from './driver.ts'
import { runHook } from './hooks.ts'

/**
 * Runs one of the operator's commands that bring a layer to an image. Does nothing where there is none. Throws what `busy` makes on exit 75, `unavailable` when it
 * failed. Without a signal nothing but its own timeout ends it: half a step helps nobody.
 */
export async function runStep(
  step: StepConfig | undefined,
  setting: {
    readonly name: string
    readonly cwd: string
    readonly env: Readonly<Record<string, string>>
    readonly log: Logger
    readonly signal?: AbortSignal
  },
): Promise<void> {
  if (step === undefined) return
  const { name, cwd, env, log, signal = new AbortController().signal } = setting
  const { answer, reason, output } = await runHook({ command: step.run, cwd, env, timeout: step.timeout, signal })
  log[answer === 'failed' ? 'warn' : 'info']({ command: name, answer, output }, `command ${name}: ${reason}`)
  if (answer === 'busy') throw busy(`command ${name} is busy: ${reason}`)
  if (answer === 'failed') throw new FleetError('unavailable', `command ${name}: ${reason}`)
}
