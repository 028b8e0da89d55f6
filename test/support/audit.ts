import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type AuditEntry, readLine } from '../../protocol/index.ts'

/** What stands in the audit log of a data directory, oldest first. */
export function auditEntries(dataDir: string): AuditEntry[] {
  const folder = join(dataDir, 'audit')
  if (!existsSync(folder)) return []
  const lines = readdirSync(folder)
    .sort()
    .flatMap(file => readFileSync(join(folder, file), 'utf8').split('\n'))
  return lines.flatMap(line => readLine(line).entry ?? [])
}
