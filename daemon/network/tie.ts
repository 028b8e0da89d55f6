import type { NodeId } from '../../protocol/index.ts'

/** A peer's wish to open a link. */
export interface Open {
  readonly self: NodeId
  readonly peer: NodeId
  /** Of the peer's process, from its admission. */
  readonly boot: string
  /** The links with us that the peer knew of when it asked. It has none, so they are dead. */
  readonly after: readonly string[]
}

/**
 * Whether to take a link that a peer opens, so that both sides end with the same one and no third message is needed.
 *
 * - We have an open of our own on its way: both sides see the same tie, and the smaller id's opening stands.
 * - We have a link already. If the peer's process is another one, or it names that very link, the link is dead on
 *   the peer's side: take the new one. Otherwise the peer asked before it knew of the link it has with us by now.
 */
export function answerOpen(
  open: Open,
  current: { readonly id: string; readonly boot: string } | undefined,
  opening: { readonly boot: string } | undefined,
): 'accept' | 'refuse' {
  if (current !== undefined) return current.boot !== open.boot || open.after.includes(current.id) ? 'accept' : 'refuse'
  if (opening !== undefined && opening.boot === open.boot) return open.self < open.peer ? 'refuse' : 'accept'
  return 'accept'
}
