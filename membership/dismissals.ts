import type { Digest, Dismissal, NodeRecord, Statement } from '../protocol/index.ts'

/** Dismissals of versions that have not come yet are kept for this many: only a liar dismisses more than it has heard of. */
const MAX_DISMISSALS = 4

type Version = Pick<Dismissal, 'epoch' | 'presence' | 'seq'>

/** Orders versions as records are ordered: by epoch, within one having left is final, then by seq. */
const compareVersions = (a: Version, b: Version): number =>
  a.epoch - b.epoch || Number(a.presence === 'left') - Number(b.presence === 'left') || a.seq - b.seq

/** Orders dismissals of one version: pruning goes further; then by id, so that all settle on the same. */
const compare = (a: Statement<Dismissal>, b: Statement<Dismissal>): number =>
  Number(a.body.prune) - Number(b.body.prune) || compareIds(a.id, b.id)

const compareIds = (a: Digest, b: Digest): number => (a < b ? -1 : a > b ? 1 : 0)

/** True when the subject said something since. */
export const voids = (record: Statement<NodeRecord>, { body }: Statement<Dismissal>): boolean =>
  compareVersions(body, record.body) < 0

/** The one that is about exactly this version of the record. */
export const dismissalOf = (
  record: Statement<NodeRecord>,
  dismissals: readonly Statement<Dismissal>[],
): Statement<Dismissal> | undefined => dismissals.find(({ body }) => compareVersions(body, record.body) === 0)

/**
 * The dismissals of one subject with one more: of each version one, the lowest versions first, because the next record of the subject
 * is the one that they may count for. Whoever said it makes no difference, so a liar can only crowd out versions that do
 * not exist. The same array when nothing changed.
 */
export function withDismissal(
  held: readonly Statement<Dismissal>[],
  statement: Statement<Dismissal>,
): readonly Statement<Dismissal>[] {
  const same = held.find(({ body }) => compareVersions(body, statement.body) === 0)
  if (same !== undefined && compare(statement, same) <= 0) return held
  const all = [...held.filter(each => each !== same), statement]
    .sort((a, b) => compareVersions(a.body, b.body))
    .slice(0, MAX_DISMISSALS)
  return all.includes(statement) ? all : held
}
