import { lstat, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Evidence, LIMITS } from '../../protocol/index.ts'
import type { Drift } from '../../rollout/index.ts'

/** Bytes of the program's last output. */
export const LOG_TAIL = 16 * 1024
/** Changed files are kept with their content up to this size each, and so much in all. */
const CONTENT = { each: 16 * 1024, all: 96 * 1024 }

/** How a slot differs from its image, with what small files that were changed or added hold: what would be gone with the slot. */
export async function withContent(drift: Drift, directory: string): Promise<NonNullable<Evidence['drift']>> {
  let left = CONTENT.all
  const differences: NonNullable<Evidence['drift']>['differences'] = []
  for (const { path, what } of drift.differences) {
    const content =
      what === 'content' || what === 'extra' ? await smallFile(join(directory, path)).catch(() => undefined) : undefined
    if (content === undefined || content.byteLength > Math.min(CONTENT.each, left)) {
      differences.push({ path, what })
      continue
    }
    left -= content.byteLength
    differences.push({ path, what, content: content.toString('base64') })
  }
  return { total: drift.total, differences }
}

/** Makes a bundle fit: its log gives way first, then the contents of files, then the differences. */
export function fitted(evidence: Evidence): Evidence {
  const fits = (given: Evidence): boolean => Buffer.byteLength(JSON.stringify(given)) <= LIMITS.evidence
  if (fits(evidence)) return evidence
  const quiet = { ...evidence, log: evidence.log.slice(-1_024) }
  if (fits(quiet)) return quiet
  const { drift } = quiet
  const bare = drift?.differences.map(({ path, what }) => ({ path, what })) ?? []
  return { ...quiet, drift: drift === null ? null : { ...drift, differences: bare.slice(0, 8) } }
}

/** A regular file that is not read when it is large: what somebody put into a slot may be anything. */
async function smallFile(path: string): Promise<Buffer | undefined> {
  const info = await lstat(path)
  return info.isFile() && info.size <= CONTENT.each ? readFile(path) : undefined
}
