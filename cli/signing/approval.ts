import { type Authority, approvalsMissing, type Plan, type Statement, toDocument } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { follow, oneLine } from '../follow.ts'
import { plain, plural, span, stamp } from '../text.ts'

/** What an operator is about to put his name to, in sentences. */
export function describe({ body, signers }: Statement<Plan>, names: readonly string[]): string {
  const lines = [
    `plan ${body.generation} for group ${body.group}: layer ${body.layer} to ${body.version} (${body.image.slice(0, 12)})`,
    `  ${plural(body.roster.length, 'node')}, at most ${body.maxUnavailable} down at once; ${body.strategy}; undone when ${body.maxFailed} failed`,
    `  each healthy for ${span(body.minHealthy)} within ${span(body.deadline)}; expires on ${stamp(body.notAfter)}`,
    ...(body.force ? ['  even where this image failed before (--force)'] : []),
    ...(body.reason === '' ? [] : [`  reason: ${body.reason}`]),
    `  ${names.join(', ')}`,
    `  signed by ${signers.map(key => key.slice(0, 12)).join(', ')}`,
  ]
  return lines.map(plain).join('\n')
}

/** How many signatures a plan has, and needs, as a program reads it. */
export function countSigned(authority: Authority, plan: Statement<Plan>): { signed: number; needed: number } {
  const needed = authority.policy.threshold
  return { signed: needed - approvalsMissing(authority, plan), needed }
}

/** Submits a plan that has all its signatures, and follows it to its end unless `detach`. Gives the exit code. */
export async function submitPlan(context: Context, plan: Statement<Plan>, detach: boolean): Promise<number> {
  const { group, generation } = plan.body
  const status = await context.client.call('POST /v1/rollouts', { body: { statement: toDocument(plan.bytes) } })
  if (!detach) return follow(context, { group, generation, untilPaused: true })
  context.show(status, () => oneLine(status))
  context.hint(`Follow it with: fleetctl rollout status --group ${group} --watch`)
  return 0
}
