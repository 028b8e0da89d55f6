import { isDeepStrictEqual } from 'node:util'
import type { Config } from './schema.ts'

/** The settings that a running daemon takes up; every other one takes effect at the next start. */
export const RELOADABLE: readonly (keyof Config)[] = [
  'downloadLimit',
  'eventHandler',
  'handlerTimeout',
  'handlerConcurrency',
  'logLevel',
  'minFree',
  'quota',
  'tag',
  'uploadLimit',
  'zoneBudget',
  'zoneDownloadLimit',
  'zoneUploadLimit',
]

/** The names of the settings that a reload changes. */
export interface Changes {
  readonly now: readonly string[]
  /** Changed in the file, and in the daemon only once it is started again. */
  readonly atRestart: readonly string[]
}

/** What is different in `after`. `running`: the configuration of the start, which all but the reloadable settings still have. */
export function changesBetween(before: Config, after: Config, running: Config): Changes {
  const keys = Object.keys(after) as (keyof Config)[]
  const differ = (key: keyof Config, from: Config): boolean => !isDeepStrictEqual(from[key], after[key])
  return {
    now: keys.filter(key => RELOADABLE.includes(key) && differ(key, before)),
    atRestart: keys.filter(key => !RELOADABLE.includes(key) && differ(key, running)),
  }
}

/** The tags that a node has now, with what the configuration says differently; those that `fleetctl tags` has set stay. */
export function changedTags(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  current: Readonly<Record<string, string>>,
): Record<string, string> {
  const tags: Record<string, string> = { ...current }
  for (const key of Object.keys(before)) if (!(key in after)) delete tags[key]
  for (const [key, value] of Object.entries(after)) if (before[key] !== value) tags[key] = value
  return tags
}
