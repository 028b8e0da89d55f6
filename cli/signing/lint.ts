import type { Plan, RolloutDraft } from '../../protocol/index.ts'

/** What is allowed and yet unwise about a plan, in sentences for whoever is about to sign it. */
export function warnings(plan: Plan, draft: RolloutDraft): string[] {
  const size = plan.roster.length
  const found: string[] = []
  if (plan.strategy === 'at-once' && size > 1) found.push(`all ${size} hosts go down at the same time`)
  else if (size > 2 && plan.maxUnavailable * 2 >= size)
    found.push(`${plan.maxUnavailable} of ${size} hosts may be down at once, which is half of them or more`)
  if (draft.down.length > 0) found.push(alreadyDown(plan, draft.down))
  for (const [zone, count] of emptied(plan, draft))
    found.push(`all ${count} hosts of zone ${zone} may be down at once; --max-per-zone bounds that`)
  if (plan.minHealthy === 0)
    found.push('no host has to stay healthy for any time (--min-healthy 0s): a program that dies after a second passes')
  if (!plan.reversible)
    found.push(
      'there is no way back past this image: a host that fails with it stays on it, and the rollout is paused, not undone',
    )
  else if (plan.previous === null)
    found.push('there is no image to go back to: a rollout that fails is paused, not undone')
  if (plan.maxFailed > size)
    found.push(`it is undone when ${plan.maxFailed} failed, and there are ${size}: it never is`)
  if (draft.lacking.length > 0) {
    const [{ layer, requires }] = draft.lacking as [RolloutDraft['lacking'][number]]
    const names = draft.lacking.slice(0, 3).map(({ name }) => name)
    found.push(
      `${draft.lacking.length} of ${size} hosts (${names.join(', ')}${draft.lacking.length > names.length ? ', ...' : ''}) wait until their layer ${layer} runs ${requires.slice(0, 12)}, which the image requires`,
    )
  }
  const unsure = draft.lineage.filter(({ reversible }) => reversible === null)
  if (unsure.length > 0)
    found.push(
      `nobody who is here knows whether ${unsure.map(({ version }) => version).join(', ')} may be skipped; hosts that are behind skip it`,
    )
  if (plan.force) found.push('it activates the image even where it failed before (--force)')
  return found
}

function alreadyDown({ maxUnavailable }: Plan, down: RolloutDraft['down']): string {
  const names = down.slice(0, 3).map(({ name }) => name)
  const who = `${names.join(', ')}${down.length > names.length ? ', ...' : ''}`
  const left = maxUnavailable - down.length
  return `${down.length} of the group ${down.length === 1 ? 'is' : 'are'} down (${who}) and ${down.length === 1 ? 'counts' : 'count'} against the budget of ${maxUnavailable}: ${
    left > 0
      ? `only ${left} may go at a time`
      : 'nobody goes until enough of them are back, or written off with "fleetctl node write-off"'
  }`
}

/** Zones of more than one host that the budget lets go down as a whole. One zone alone is the budget's own matter. */
function emptied({ maxUnavailable, zones }: Plan, { roster }: RolloutDraft): [string, number][] {
  const counts = new Map<string, number>()
  for (const { zone } of roster) counts.set(zone, (counts.get(zone) ?? 0) + 1)
  if (counts.size < 2) return []
  const most = Math.min(maxUnavailable, zones?.cap ?? maxUnavailable)
  return [...counts].filter(([, count]) => count > 1 && count <= most)
}
