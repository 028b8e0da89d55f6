import type { LedgerValue } from './value.ts'

/** What holds of every value, as sentences about what does not. For tests and for a voter's own distrust. */
export function invariants(value: LedgerValue): string[] {
  const broken: string[] = []
  if (value.permits.some(permit => permit.token >= value.nextToken))
    broken.push('a permit has a token that was not granted yet')
  if (new Set(value.permits.map(permit => permit.token)).size !== value.permits.length)
    broken.push('a token is held twice')
  if (new Set(value.permits.map(permit => permit.node)).size !== value.permits.length)
    broken.push('a node holds two permits')
  if (value.permits.some(permit => value.fenced.includes(permit.node)))
    broken.push('a node that was written off holds a permit')
  if ((value.phase === 'paused') !== (value.resumeTo !== null))
    broken.push('only a paused rollout knows where to resume to')
  if (
    value.phase === 'rolled-back' &&
    value.permits.length > 0 &&
    value.permits.every(
      permit => permit.generation === value.generation && (permit.kind === 'replace' || permit.kind === 'revert'),
    )
  )
    broken.push('a generation that is rolled back has permits out')
  return broken
}
