import { millis, type Plan, type Statement } from '../../../protocol/index.ts'
import { POLICY_BUDGET, planOf, type Shape, V2 } from './fleet.ts'
import { spread } from './operator.ts'
import { propose } from './proposals.ts'
import type { World } from './world.ts'

type Kind = 'forged' | 'under-threshold' | 'expired' | 'replayed' | 'lower-generation' | 'wrong-group' | 'over-budget'
const KINDS: readonly Kind[] = [
  ...(['forged', 'under-threshold', 'expired', 'replayed', 'lower-generation', 'wrong-group', 'over-budget'] as const),
]

/**
 * Proposes a plan that must not begin straight to the voters, past everything that a daemon checks before, and lies about the time. Voters and
 * reducer are all that stands against it.
 */
export function intrude(world: World): void {
  const { random } = world
  const kind = KINDS[random.int(KINDS.length)]!
  const plan = badPlan(world, kind)
  const host = world.all[random.int(world.all.length)]!
  if (plan !== undefined && host.alive) {
    world.tally[kind] += 1
    spread(world, plan)
    propose(world, host, { type: 'start', plan, now: millis(0) }, () => undefined)
  }
}

function badPlan({ schedule, watch, plan, begin }: World, kind: Kind): Statement<Plan> | undefined {
  const value = watch.newest()
  const shape: Shape = {
    hosts: schedule.hosts,
    k: schedule.k,
    canary: 0,
    maxFailed: 1,
    generation: value.generation + 1,
    image: V2,
    previous: value.targets.app ?? null,
    force: true,
    reason: kind,
  }
  switch (kind) {
    case 'forged':
      return planOf(shape, 'stranger')
    case 'under-threshold':
      return planOf(shape, 'one-operator')
    case 'expired':
      return planOf({ ...shape, notAfter: -60_000 })
    case 'replayed':
      return plan(value.history[0]?.plan ?? null)
    case 'lower-generation':
      return value.generation === begin.generation ? undefined : planOf({ ...shape, generation: value.generation })
    case 'wrong-group':
      return planOf({ ...shape, group: 'db' })
    case 'over-budget':
      return planOf({ ...shape, k: POLICY_BUDGET + 1 })
    default:
      return kind satisfies never
  }
}
