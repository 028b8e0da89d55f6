import { readFile, writeFile } from 'node:fs/promises'
import {
  type Authority,
  approvalsMissing,
  FleetError,
  LIMITS,
  open,
  PLAN,
  type Plan,
  type Statement,
  toDocument,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { follow, oneLine } from '../follow.ts'
import { plain, plural, span, stamp } from '../text.ts'

// A plan on its way from one operator to the next: a file with the signed statement in base64url, which says nothing secret.

/** Keeps a plan for others to sign. `fresh`: never writes over a file. */
export async function keepPlan(file: string, plan: Statement<Plan>, { fresh }: { fresh: boolean }): Promise<void> {
  await writeFile(file, `${toDocument(plan.bytes)}\n`, { flag: fresh ? 'wx' : 'w' }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') throw new FleetError('conflict', `${file} exists already; name another file`)
      throw new FleetError('bad-input', `cannot write the plan to ${file}: ${error.message}`, { cause: error })
    },
  )
}

/** Throws `bad-input` on a file that holds no plan, `unauthorized` on one of another fleet or with a signature that does not verify. */
export async function readPlan(file: string, { fleet }: Authority): Promise<Statement<Plan>> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FleetError('bad-input', `cannot read the plan in ${file}: ${error.message}`, { cause: error })
  })
  if (text.length > 2 * LIMITS.plan) throw new FleetError('bad-input', `${file} is too large to be a plan`)
  try {
    return open(PLAN, fleet, Uint8Array.from(Buffer.from(text.trim(), 'base64url')))
  } catch (error) {
    if (error instanceof FleetError && error.code !== 'unauthorized')
      throw new FleetError('bad-input', `${file} holds no plan that was kept with --sign: ${error.message}`)
    throw error
  }
}

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
