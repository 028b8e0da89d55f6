import * as z from 'zod'
import { fields, type Millis, millis, type NodeId, sha256 } from '../../protocol/index.ts'

/** Why what is in a slot is not what its image says, or not for much longer. */
export const slotMarkSchema = z.object({
  /** `manual`: an operator says so. `drift`: it does not match its image. `hotfix`: it was opened for changes by hand. `age`: it has run for too long. */
  why: z.enum(['manual', 'drift', 'hotfix', 'age']),
  /** In a sentence. */
  reason: z.string().max(1024),
  /** Who said so: operator keys, or nobody where the node found it itself. */
  by: z.string().max(512),
  at: fields.time,
  /** When the slot is to be replaced for it: at once, or when a hotfix's time is over. */
  due: fields.time,
})
export type SlotMark = z.infer<typeof slotMarkSchema>

/** One mark of each kind: a later one says more than the earlier, and has its time from it. */
export function withMark(marks: readonly SlotMark[], mark: SlotMark): SlotMark[] {
  const before = marks.find(({ why }) => why === mark.why)
  const others = marks.filter(({ why }) => why !== mark.why)
  return [...others, { ...mark, at: before?.at ?? mark.at }]
}

/** What members are told: each kind once, in one order. */
export const taintsOf = (marks: readonly SlotMark[]): string[] => [...new Set(marks.map(({ why }) => why))].sort()

/** All marks of a slot in one: what its replacement machine is told. Null where there is none. */
export function markOf(marks: readonly SlotMark[], now: Millis): { reason: string; due: boolean } | null {
  if (marks.length === 0) return null
  return {
    reason: marks.map(({ why, reason }) => `${why}: ${reason}`).join('; '),
    due: marks.some(({ due }) => due <= now),
  }
}

/** When the next mark that is not due yet becomes so. */
export function nextDue(marks: readonly SlotMark[], now: Millis): Millis | undefined {
  const ahead = marks.map(({ due }) => due).filter(due => due > now)
  return ahead.length === 0 ? undefined : millis(Math.min(...ahead))
}

/**
 * When a slot that became current at `since` has outlived its image. Up to a tenth earlier than `maxAge` after it, by a hash of the node, the layer
 * and the time, so that nodes which were rolled together are not all due together, and the same node is not always the first.
 */
export function tooOldAt(since: Millis, maxAge: number, node: NodeId, layer: string): Millis {
  const fraction = Number.parseInt(sha256(Buffer.from(`${node}\n${layer}\n${since}`)).slice(0, 8), 16) / 2 ** 32
  return millis(since + Math.round(maxAge * (1 - fraction / 10)))
}
