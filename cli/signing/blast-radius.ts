import type { Millis, NodeId, Plan, RolloutDraft } from '../../protocol/index.ts'
import { plain, plural, span, stamp } from '../text.ts'
import { type Estimate, TAKES } from './estimate.ts'

/** What a plan would touch, how much of it at once, and for how long, before anybody signs it. */
export function blastRadius(plan: Plan, draft: RolloutDraft, time: Estimate, warned: readonly string[]): string {
  const roster = inOrder(plan, draft)
  const already = roster.filter(entry => entry.digest === plan.image).length
  const zones = new Set(roster.map(entry => entry.zone)).size
  const wide = Math.max(...roster.map(entry => entry.name.length))
  const share = Math.round((plan.maxUnavailable * 100) / roster.length)
  return [
    `generation ${plan.generation} of group ${plan.group} would bring layer ${plan.layer} to ${plan.version}`,
    `  ${plural(roster.length, 'node')} in ${plural(zones, 'zone')}, ${already} of them there already; at most ${plan.maxUnavailable} down at once (${share} %)${plan.zones === null ? '' : `, ${plan.zones.cap} in one zone`}`,
    `  ${manner(plan)}; undone when ${plan.maxFailed} failed; each healthy for ${span(plan.minHealthy)} within ${span(plan.deadline)}`,
    `  about ${span(time.likely)} when nothing fails and a host takes ${span(TAKES)} to come up, at most ${span(time.atMost)}`,
    ...windows(plan, time),
    ...barriers(plan, roster),
    `  back to ${plan.reversible ? (draft.roster.find(entry => entry.digest === plan.previous)?.version ?? plan.previous ?? 'nothing: there is no image before') : 'nothing: there is no way back past it'} when undone`,
    ...warned.map(warning => `  careful: ${warning}`),
    ...roster.map(
      (entry, at) =>
        `  ${String(at + 1).padStart(4)}  ${entry.name.padEnd(wide)}  ${entry.zone}  ${entry.version ?? 'empty'}${stage(plan, at)}`,
    ),
    ...draft.excluded.map(entry => `   not  ${entry.name}: ${entry.reason}`),
    'Nothing was submitted (--dry-run).',
  ]
    .map(line => line.split('\n').map(plain).join('\n'))
    .join('\n')
}

export function inOrder(plan: Plan, draft: RolloutDraft): RolloutDraft['roster'] {
  const entries = new Map<NodeId, RolloutDraft['roster'][number]>(draft.roster.map(entry => [entry.node, entry]))
  return plan.roster.map(node => entries.get(node)!)
}

function manner(plan: Plan): string {
  const soak = plan.soak === 0 ? '' : `, then ${span(plan.soak)} of soak`
  const after = plan.analysis === 0 ? '' : `; watched for ${span(plan.analysis)} after the last`
  const stages =
    plan.canary > 0
      ? `, ${plan.canary} first${soak}`
      : plan.waves.length > 0
        ? ` of ${plan.waves.map((end, at) => end - (plan.waves[at - 1] ?? 0)).join(', ')}${soak} after each`
        : ''
  return `${plan.strategy}${stages}${after}`
}

const stage = (plan: Plan, at: number): string =>
  at < plan.canary ? '  (canary)' : plan.waves.length > 0 ? `  (wave ${plan.waves.findIndex(end => at < end) + 1})` : ''

/** Who goes by an image that may not be skipped. */
function barriers(plan: Plan, roster: RolloutDraft['roster']): string[] {
  const last = plan.lineage.filter(({ barrier, image }) => barrier && image !== plan.image)
  if (last.length === 0) return []
  const known = (digest: string | null): number => plan.lineage.findLastIndex(({ image }) => image === digest)
  const behind = roster.filter(
    ({ digest }) => digest !== null && digest !== plan.image && last.some(({ image }) => known(image) > known(digest)),
  )
  return behind.length === 0
    ? []
    : [
        `  ${plural(behind.length, 'node')} ${behind.length === 1 ? 'is' : 'are'} behind, and may not skip ${last.map(({ version }) => version).join(', ')}`,
      ]
}

function windows(plan: Plan, { begins }: Estimate): string[] {
  if (plan.windows.length === 0) return []
  const list = plan.windows.map(({ cron, duration, zone }) => `${cron} for ${span(duration)}, ${zone}`).join('; or ')
  const date = (time: Millis): string => stamp(time)
  return [`  only within ${list}; ${begins === null ? 'which never comes' : `from ${date(begins)} on`}`]
}
