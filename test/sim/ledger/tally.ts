import type { NodeId } from '../../../protocol/index.ts'
import type { LedgerValue } from '../../../rollout/index.ts'
import type { World } from './world.ts'

/**
 * What a schedule can have in it, so that a run can say how often each took place: a fault that never happened was never borne.
 * The name is what is counted, the value says what that is.
 */
export const HAPPENINGS = {
  crash: 'a process was killed',
  'crash-at-release': 'a process was killed just after it had proposed to give its permit back',
  restart: 'a killed process began again',
  'restart-with-intent': 'a killed process found on its disk that it was about to do something under a permit',
  'unwritten-lost': 'a voter began again without what it had not yet written',
  lost: 'a host was lost for good, with its disk and its key',
  'lost-voter': 'a host that was lost was a voter',
  'lost-majority': 'so many voters were lost for good that no majority was left',
  recovered: 'an operator recovered a ledger that had lost its majority',
  'recovered-stale': 'a ledger was recovered from a value that was not the newest which had been committed',
  pause: 'a process stood still for up to 3 s',
  'long-pause': 'a process stood still for 6 s to 20 s: longer than a re-read is good for',
  'pause-after-grant': 'a process stood still as long just after it had been granted a permit and had bound it',
  partition: 'the hosts fell into two sides',
  isolated: 'one host and all others heard nothing of each other',
  mute: 'one host heard all others, and none heard it',
  deafened: 'one host heard nobody, and all others heard it',
  'clock-set': 'a wall clock was set, by up to 10 s either way',
  'voter-disk-refused': 'a voter could not write, and was silent until it was restarted',
  'intent-refused': 'an intent could not be written',
  'drain-failed': 'a drain hook failed',
  'unwell-after-flip': 'a host was not well with what it had been brought to',
  'message-lost': 'a message was lost',
  'message-repeated': 'a message came twice',
  'message-late': 'a message took up to 400 ms, and was overtaken',
  'message-cut': 'a message was for a host that could not be reached',
  'voters-changed': 'other voters were committed, and an epoch closed',
  'lost-voter-replaced': 'the voters that were committed no longer had one that was lost',
  'written-off': 'a host was written off',
  'written-off-paused': 'a host was written off that only stood still, and came back',
  pauses: 'an operator ordered a pause',
  resumes: 'an operator ordered to go on',
  undoes: 'an operator ordered an undo',
  promotes: 'an operator ordered a promotion',
  aborts: 'an operator ordered an abort',
  started: 'a generation began',
  'paused-itself': 'a rollout was paused that nobody had ordered to',
  'reversed-itself': 'a rollout began to go back that nobody had ordered to',
  done: 'a generation was done',
  'rolled-back': 'a generation was taken back',
  aborted: 'a generation was aborted',
  flip: 'a host went down under its permit',
  forged: 'an intruder proposed a plan signed by a stranger',
  'under-threshold': 'an intruder proposed a plan signed by one operator of two',
  expired: 'an intruder proposed a plan that had expired',
  replayed: 'an intruder proposed a plan that had begun before',
  'lower-generation': 'an intruder proposed a plan of a generation that had begun before',
  'wrong-group': "an intruder proposed another group's plan",
  'over-budget': 'an intruder proposed a plan with a budget above that of the policy',
} as const
export type Happening = keyof typeof HAPPENINGS

export type Tally = Record<Happening, number>

export const newTally = (): Tally =>
  Object.fromEntries(Object.keys(HAPPENINGS).map(happening => [happening, 0])) as Tally

/** Counts what the committed values say has taken place, when `value` is found to be newer than `before`. */
export function tallyCommitted({ tally, hosts, watch }: World, before: LedgerValue, value: LedgerValue): void {
  const lost = (node: string): boolean => hosts.get(node as NodeId)?.gone === true
  if (value.epoch > before.epoch) {
    tally['voters-changed'] += value.epoch - before.epoch
    if (before.voters.some(node => lost(node) && !value.voters.includes(node))) tally['lost-voter-replaced'] += 1
  }
  const fenced = value.fenced.filter(node => !before.fenced.includes(node))
  tally['written-off'] += fenced.length
  tally['written-off-paused'] += fenced.filter(node => !lost(node)).length
  const begun = value.generation !== before.generation
  if (begun) tally.started += 1
  if (value.phase === before.phase && !begun) return
  const ordered = (verb: string): boolean => watch.wasOrdered(verb, value.generation)
  if (value.phase === 'paused' && !ordered('pause')) tally['paused-itself'] += 1
  if (value.phase === 'reversing' && !ordered('undo')) tally['reversed-itself'] += 1
  if (value.phase === 'done' || value.phase === 'rolled-back' || value.phase === 'aborted') tally[value.phase] += 1
}

export function addTally(sum: Tally, more: Readonly<Tally>): void {
  for (const happening of Object.keys(more) as Happening[]) sum[happening] += more[happening]
}

/** A table: each happening, how often in a thousand schedules, and what it is. */
export function describeTally(tally: Readonly<Tally>, schedules: number): string {
  const lines = (Object.entries(HAPPENINGS) as [Happening, string][]).map(([happening, what]) => {
    const often = ((tally[happening] / schedules) * 1_000).toFixed(tally[happening] * 10 < schedules ? 1 : 0)
    return `${often.padStart(12)}  ${happening.padEnd(20)} ${what}`
  })
  return `in a thousand schedules:\n${lines.join('\n')}\n`
}
