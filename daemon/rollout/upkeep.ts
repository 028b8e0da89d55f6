import type { Logger } from 'pino'
import type { Millis, Plan, Random, Statement } from '../../protocol/index.ts'
import { type Action, isOver, type LedgerValue, stalled } from '../../rollout/index.ts'
import type { Groups } from './groups.ts'

/** The longest that one timer sleeps: longer ones overflow, and clocks are set. */
const LOOK_AGAIN = 60 * 60_000
/** How often a rollout is looked at that has stood still for long and is not to be paused for that: its window is closed, or there is no quorum. */
const STILL_EVERY = 30_000
/** Nodes of a group do not all end its soak or pause it in the same moment: over so long for each of them, they take it in turn who is first. */
const SPREAD_PER_NODE = 20

/** What a rollout needs that is nobody's own business: whoever sees first that it is time writes it, and the others see that it was written. */
export interface Upkeep {
  observe(value: LedgerValue, plan: Statement<Plan> | undefined): void
  stop(): void
}

export function createUpkeep(init: {
  readonly groups: Pick<Groups, 'propose'>
  readonly now: () => Millis
  readonly random: Random
  readonly log: Logger
}): Upkeep {
  const { groups, now, random, log } = init
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined

  const propose = (group: string, action: Action): void => {
    groups
      .propose(group, action, stopping.signal)
      .catch(error => log.debug({ group, err: error, action: action.type }, 'the upkeep of a rollout has to wait'))
  }

  /** Ends a soak when its time has come. A proposal that finds no quorum is made again at the next look at the ledger. */
  const endSoak = (value: LedgerValue, nodes: number): void => {
    const wait = Math.max(0, value.soakUntil - now()) + random.int(SPREAD_PER_NODE * nodes + 1)
    timer = setTimeout(
      () => {
        if (now() < value.soakUntil) endSoak(value, nodes)
        else propose(value.group, { type: 'soaked', now: now() })
      },
      Math.min(wait, LOOK_AGAIN),
    )
  }

  /** Looks when nothing has moved for too long: news of the ledger would not come, as nothing moves. */
  const awaitStall = (value: LedgerValue, plan: Plan): void => {
    if (isOver(value.phase) || value.phase === 'paused' || value.phase === 'soaking') return
    const left = value.progressAt + plan.deadline + plan.progressDeadline - now()
    const wait = (left > 0 ? left : STILL_EVERY) + random.int(SPREAD_PER_NODE * plan.roster.length + 1)
    timer = setTimeout(
      () => {
        pauseStalled(value, plan)
        awaitStall(value, plan)
      },
      Math.min(wait, LOOK_AGAIN),
    )
  }

  const pauseStalled = (value: LedgerValue, plan: Plan): void => {
    const reason = stalled(value, plan, now())
    if (reason !== undefined) propose(value.group, { type: 'stall', reason, now: now() })
  }

  return {
    observe(value, plan) {
      clearTimeout(timer)
      if (plan === undefined || stopping.signal.aborted) return
      if (value.phase === 'soaking') endSoak(value, plan.body.roster.length)
      pauseStalled(value, plan.body)
      awaitStall(value, plan.body)
    },
    stop() {
      stopping.abort()
      clearTimeout(timer)
    },
  }
}
