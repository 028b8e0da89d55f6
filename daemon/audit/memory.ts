import { decodeDocument, documentId, type FleetError, readLine } from '../../protocol/index.ts'
import type { Audit } from './audit.ts'

/** Entries at the end of the log in which it is looked what was told last. */
const LOOK_BACK = 2_000
/** Refused documents that are remembered, so that one which comes over and over is told once. */
const REMEMBERED = 256

/** What the log told last of its group's rollouts, so that a restart does not tell it again. */
export async function lastNoted(audit: Audit): Promise<{ plan: string | undefined; phase: string | undefined }> {
  let plan: string | undefined
  let phase: string | undefined
  const from = { entry: Math.max(1, audit.tail().seq - LOOK_BACK), line: 0 }
  for await (const { line } of audit.read(from)) {
    const { entry } = readLine(line)
    if (entry?.kind === 'plan-accepted') plan = entry.detail.plan
    if (entry?.kind === 'rollout-phase') phase = `${entry.detail.generation} ${entry.detail.phase}`
  }
  return { plan, phase }
}

const REFUSED = {
  policy: 'policy-refused',
  revocation: 'revocation-refused',
  recovery: 'recovery-refused',
} as const

/** Tells of documents that somebody sent and that are badly made or badly signed. `onPlan`: who tells of plans, which come by other ways too. */
export function refusals(
  note: Audit['note'],
  onPlan: (plan: Uint8Array, reason: FleetError) => void,
): (document: Uint8Array, reason: FleetError) => void {
  const seen = new Set<string>()
  return (document, reason) => {
    const id = documentId(document)
    if (seen.has(id)) return
    if (seen.size >= REMEMBERED) seen.delete(seen.values().next().value as string)
    seen.add(id)
    let read: ReturnType<typeof decodeDocument>
    try {
      read = decodeDocument(document)
    } catch {
      return // it says of itself to be nothing that could have been refused
    }
    const { kind, statement } = read
    if (kind === 'plan') return onPlan(statement, reason)
    note({
      kind: REFUSED[kind],
      text: `a ${kind} that came from another node was refused: ${reason.message}`,
      detail: { [kind]: id, code: reason.code },
      outsider: true,
    })
  }
}
