import { FleetError, type NodeId, parseNodeId } from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { findNode, groupOr } from '../nodes.ts'

/** Whom an operator speaks of. */
export interface Subject {
  readonly id: NodeId
  readonly name: string
  readonly group: string
}

/**
 * The member that a person means, or by its whole id a node that has been gone for longer than members are listed: it may hold a permit all
 * the same, and is to be kept out all the same. Its group is then taken to be this daemon's own. Throws as `findNode` does.
 */
export async function findSubject(context: Context, text: string): Promise<Subject> {
  try {
    return await findNode(context, text)
  } catch (error) {
    const id = error instanceof FleetError && error.code === 'not-found' ? wholeId(text) : undefined
    if (id === undefined) throw error
    return { id, name: id, group: await groupOr(context, undefined) }
  }
}

function wholeId(text: string): NodeId | undefined {
  try {
    return parseNodeId(text)
  } catch {
    return undefined
  }
}
