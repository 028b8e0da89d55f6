import { setTimeout as wait } from 'node:timers/promises'
import type { RolloutStatusView } from '../protocol/api/index.ts'
import { FleetError } from '../protocol/errors.ts'
import type { RolloutPhase } from '../protocol/phase.ts'
import type { Context } from './context.ts'
import { fitted } from './fit.ts'
import type { Tint } from './paint.ts'
import { bar } from './progress.ts'
import { plain, stamp } from './text.ts'

/** Exit codes of a followed rollout, over and above those of errors. */
const ENDED: Partial<Record<RolloutPhase, number>> = { done: 0, aborted: 1, 'rolled-back': 3 }
const PAUSED = 4

/** A daemon that replaces itself is away for some seconds: its rollout goes on meanwhile. */
const AWAY = 60_000
const RETRY = 500

export const phaseTint = (phase: RolloutPhase): Tint => {
  switch (phase) {
    case 'done':
      return 'green'
    case 'canary':
    case 'rolling':
    case 'soaking':
      return 'cyan'
    case 'paused':
    case 'reversing':
      return 'yellow'
    case 'rolled-back':
    case 'aborted':
      return 'red'
    case 'idle':
      return 'dim'
  }
}

export interface Followed {
  readonly group: string
  /** Undefined: the newest one. */
  readonly generation: number | undefined
  /** Whether a pause ends it, with exit code 4. */
  readonly untilPaused: boolean
}

/** Shows a rollout until it ends, and gives the exit code: 0 done, 1 aborted, 3 rolled back, 4 paused. */
export async function follow(context: Context, followed: Followed): Promise<number> {
  const show = createView(context)
  let { generation } = followed
  let lastSeen = performance.now()

  /** Undefined when the stream ended before the rollout did. */
  const watch = async (): Promise<Outcome | undefined> => {
    const params = { group: followed.group }
    for await (const status of context.client.updates('GET /v1/rollouts/:group/watch', { params })) {
      lastSeen = performance.now()
      generation ??= status.generation
      if (status.generation < generation) continue // the daemon has not heard yet of what was submitted
      show(status)
      const outcome = outcomeOf(status, generation, followed.untilPaused)
      if (outcome !== undefined) return outcome
    }
    return undefined
  }

  try {
    for (;;) {
      const outcome = await watch().catch((error: unknown) => {
        const away = error instanceof FleetError && error.code === 'unavailable'
        if (!away || context.signal.aborted || performance.now() - lastSeen > AWAY) throw error
        return undefined
      })
      if (outcome !== undefined) return conclude(context, outcome)
      await wait(RETRY, undefined, { signal: context.signal })
    }
  } catch (error) {
    if (context.signal.aborted)
      context.hint(`The rollout goes on; follow it with: fleetctl rollout status --group ${followed.group} --watch`)
    throw error
  }
}

interface Outcome {
  readonly code: number
  readonly status: RolloutStatusView
  readonly superseded: boolean
}

function outcomeOf(status: RolloutStatusView, generation: number, untilPaused: boolean): Outcome | undefined {
  if (status.generation > generation) return { code: 1, status, superseded: true }
  if (status.phase === 'paused' && untilPaused) return { code: PAUSED, status, superseded: false }
  const code = ENDED[status.phase]
  return code === undefined ? undefined : { code, status, superseded: false }
}

/** For a terminal the view is drawn over itself; for a file or pipe every change is a line. */
function createView(context: Context): (status: RolloutStatusView) => void {
  let drawn = 0
  let last = ''
  return status => {
    if (context.json) return context.emit(status)
    if (!context.live) {
      const line = oneLine(status)
      if (line !== last) context.print(line)
      last = line
      return
    }
    const lines = draw(status, context)
    const up = drawn === 0 ? '' : `\x1b[${drawn}A\x1b[J`
    context.terminal.stdout.write(up + lines.join('\n') + '\n')
    drawn = lines.length
  }
}

export function oneLine(status: RolloutStatusView): string {
  const { group, generation, phase, image, total, ok, failed, pending, permits, reason } = status
  const down = permits.length === 0 ? '' : `; down now: ${permits.map(permit => permit.name).join(', ')}`
  const why = reason === '' ? '' : `; ${reason}`
  return plain(
    `${group} generation ${generation} ${phase}: ${image?.version ?? '-'} on ${ok} of ${total}, ${failed} failed, ${pending} pending${down}${why}`,
  )
}

/** The state of a rollout in a few lines that fit the terminal: the live view goes back by as many as it wrote. */
export function draw(status: RolloutStatusView, { paint, width }: Context): string[] {
  const { group, generation, phase, image, total, ok, failed, pending, permits, waves, reason } = status
  const head = plain(`${group}  generation ${generation}  ${image?.version ?? '-'}`)
  const down = permits.map(permit => `${permit.name} (permit ${permit.token})`).join(', ')
  const lines = [
    `${head}  ${paint(phaseTint(phase), phase)}`,
    `${paint(failed > 0 ? 'yellow' : 'green', bar(total === 0 ? 0 : ok / total))} ${ok} of ${total} ok, ${failed} failed, ${pending} pending`,
    ...waves.map((wave, at) =>
      plain(`wave ${at + 1}: ${wave.ok} of ${wave.nodes} ok, ${wave.state}${untilText(wave.until)}`),
    ),
    plain(`down now: ${down || 'nobody'}`),
    ...(reason === '' ? [] : [plain(`reason: ${reason}`)]),
  ]
  return fitted(lines.join('\n'), width, 'hard').split('\n')
}

const untilText = (until: number | null): string => (until === null ? '' : ` until ${stamp(until)}`)

function conclude({ json, terminal, print, live, hint }: Context, { code, status, superseded }: Outcome): number {
  const { group, generation, phase, image, ok, total } = status
  if (superseded) {
    throw new FleetError(
      'conflict',
      `generation ${generation} of group ${group} has begun since; see: fleetctl rollout list`,
      {
        detail: { generation },
      },
    )
  }
  if (json) return code
  if (code === 0) {
    if (live) print(`done: ${image?.version ?? 'the image'} runs on ${ok} of ${total}`)
    return code
  }
  const why = status.reason === '' ? '' : `: ${status.reason}`
  terminal.stderr.write(plain(`fleetctl: rollout: generation ${generation} of group ${group} is ${phase}${why}`) + '\n')
  if (code === PAUSED)
    hint(
      `Go on with: fleetctl rollout resume --group ${group}\nTake it back with: fleetctl rollout undo --group ${group}`,
    )
  return code
}
