import type { Answer, Digest, Millis, NodeId, Query, Statement } from '../../protocol/index.ts'

/** How many nodes have acknowledged a query, and how many have responded. */
export interface Totals {
  readonly acks: number
  readonly responses: number
}

/** What this node has asked. */
export interface Outbox {
  begin(now: Millis, query: Statement<Query>): void
  /** True for an answer that counts: to a query that is open, in time, from one whom it was for, and the first of its kind from there. */
  take(now: Millis, answer: Statement<Answer>): boolean
  /** Whether all of these have acknowledged it. */
  acknowledged(query: Digest, nodes: readonly NodeId[]): boolean
  /** Answers that come later do not count. */
  end(query: Digest): Totals
  readonly size: number
}

interface Question {
  readonly query: Query
  readonly deadline: Millis
  readonly from: { readonly ack: Set<NodeId>; readonly response: Set<NodeId> }
}

export function createOutbox(): Outbox {
  const questions = new Map<Digest, Question>()
  return {
    begin(now, { id, body }) {
      const deadline = (now + body.timeoutMs) as Millis
      questions.set(id, { query: body, deadline, from: { ack: new Set(), response: new Set() } })
    },
    take(now, { body }) {
      const question = questions.get(body.query)
      if (question === undefined || now > question.deadline) return false
      const { query, from } = question
      if (body.type === 'ack' && !query.ack) return false
      if (query.nodes.length > 0 && !query.nodes.includes(body.node)) return false
      if (from[body.type].has(body.node)) return false
      from[body.type].add(body.node)
      return true
    },
    acknowledged(query, nodes) {
      const acks = questions.get(query)?.from.ack
      return acks !== undefined && nodes.every(node => acks.has(node))
    },
    end(query) {
      const from = questions.get(query)?.from
      questions.delete(query)
      return { acks: from?.ack.size ?? 0, responses: from?.response.size ?? 0 }
    },
    get size() {
      return questions.size
    },
  }
}
