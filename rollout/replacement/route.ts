import type { Digest, Plan } from '../../protocol/index.ts'

/**
 * The image that a node goes to next on its way to a plan's: the first barrier between what it runs and there, else the plan's own. One that runs
 * something the group is not known to have run goes by every barrier; an empty slot goes by none, as there is no state to bring along.
 */
export function nextOnRoute(
  { image, version, lineage }: Pick<Plan, 'image' | 'version' | 'lineage'>,
  current: Digest | null,
): { readonly image: Digest; readonly version: string } {
  if (current === null) return { image, version }
  // On the way back to an image of before, what came after it is no part of the way.
  const end = lineage.findIndex(past => past.image === image)
  const way = end < 0 ? lineage : lineage.slice(0, end)
  const at = lineage.findLastIndex(past => past.image === current)
  return way.slice(at + 1).find(past => past.barrier) ?? { image, version }
}
