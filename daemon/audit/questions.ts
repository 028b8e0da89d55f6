import {
  type AuditEntryView,
  type AuditList,
  type AuditPage,
  type AuditVerified,
  type FleetId,
  type NodeId,
  type Received,
  toDocument,
  type Why,
} from '../../protocol/index.ts'
import { causesOf } from '../../rollout/index.ts'
import type { Auditor } from './auditor.ts'
import type { Place } from './segments.ts'

/** Entries of a list when nobody says how many. */
const LIST = 50

/** What the local API is asked about audit logs; nodes are named as people name them. */
export interface AuditQuestions {
  audit(query: Received<'GET /v1/audit'>['query'], signal: AbortSignal): Promise<AuditList>
  verifyAudit(node: string | undefined, signal: AbortSignal): Promise<AuditVerified>
  exportAudit(node: string | undefined, from: Place, signal: AbortSignal): Promise<AuditPage>
  why(node: string, signal: AbortSignal): Promise<Why>
}

export function createAuditQuestions(init: {
  readonly auditor: Auditor
  readonly self: NodeId
  readonly find: (reference: string) => { id: NodeId; name: string }
  /** Members whose logs can be asked for, this node among them. */
  readonly reachable: () => readonly NodeId[]
  readonly nameOf: (node: NodeId) => string
  readonly layersOf: (node: NodeId) => readonly string[]
  readonly fleet: () => FleetId
}): AuditQuestions {
  const { auditor, self, nameOf } = init
  const nodeOf = (reference: string | undefined): NodeId => (reference === undefined ? self : init.find(reference).id)

  return {
    async audit({ node: reference, since, limit = LIST, kind }, signal) {
      const node = nodeOf(reference)
      const entries: AuditEntryView[] = []
      for await (const entry of auditor.entries(
        node,
        { entry: since === undefined ? 1 : since + 1, line: 0 },
        signal,
      )) {
        if (kind !== undefined && entry.kind !== kind) continue
        if (since !== undefined && entry.seq <= since) continue
        entries.push(entry)
        if (since !== undefined && entries.length === limit) break
        if (entries.length > limit) entries.shift()
      }
      return { node, name: nameOf(node), entries }
    },
    async verifyAudit(reference, signal) {
      const nodes = reference === undefined ? init.reachable() : [nodeOf(reference)]
      const examined = await auditor.examine(nodes, signal)
      return { logs: examined.map(log => ({ name: nameOf(log.node), ...log })) }
    },
    async exportAudit(reference, from, signal) {
      const node = nodeOf(reference)
      const first = from.entry === 1 && from.line === 0
      const heads = first ? (await auditor.headsOf(node, signal)).envelopes.map(toDocument) : []
      const { lines, next } = await auditor.page(node, from, signal)
      return { node, name: nameOf(node), fleet: init.fleet(), lines, next, heads: [...new Set(heads)] }
    },
    async why(reference, signal) {
      const node = nodeOf(reference)
      const entries = []
      for await (const entry of auditor.entries(node, { entry: 1, line: 0 }, signal)) entries.push(entry)
      return { node, name: nameOf(node), causes: causesOf(entries, init.layersOf(node)) }
    },
  }
}
