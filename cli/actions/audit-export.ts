import type { AuditPage } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'

/** Prints a log as its node wrote it, behind one line that says whose it is and with which heads it can be compared. */
export async function run(context: Context, node: string | undefined): Promise<undefined> {
  let next: AuditPage['next'] = { entry: 1, line: 0 }
  for (let first = true; next !== null; first = false) {
    const page: AuditPage = await context.client.call('GET /v1/audit/export', {
      query: { node, entry: String(next.entry), line: String(next.line) },
    })
    if (first)
      context.emit({ format: 'fleetd/audit/1', fleet: page.fleet, node: page.node, name: page.name, heads: page.heads })
    for (const line of page.lines) context.print(line)
    next = page.next
  }
  return
}
