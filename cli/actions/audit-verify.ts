import type { AuditVerified } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { plain, plural } from '../text.ts'

type Log = AuditVerified['logs'][number]

/** Exit 0 only when every log could be read and is what its node wrote. */
export async function run(
  context: Context,
  node: string | undefined,
  { file }: { readonly file?: string },
): Promise<number> {
  const logs =
    file === undefined
      ? (await context.client.call('GET /v1/audit/verify', { query: { node } })).logs
      : [await (await import('../signing/index.ts')).verifyFile(file)]
  context.show({ logs }, () => logs.flatMap(linesOf).map(plain).join('\n'))
  return logs.every(log => log.problems.length === 0 && log.error === null) ? 0 : 1
}

function linesOf(log: Log): string[] {
  const seen = `${plural(log.entries, 'entry').replace('entrys', 'entries')}, ${log.first} to ${log.last}; compared with ${plural(log.heads, 'signed head')} that ${plural(log.witnesses, 'member')} keep`
  const problems = log.problems.map(({ entry, problem }) => `${log.name}: entry ${entry}: ${problem}`)
  if (log.error !== null) problems.push(`${log.name}: could not be read to its end: ${log.error}`)
  return problems.length > 0 ? [...problems, `${log.name}: ${seen}`] : [`${log.name}: good: ${seen}`]
}
