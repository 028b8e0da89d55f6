import type { Health } from '../../protocol/index.ts'

/** What is known of one check since the program was started. */
export interface Tally {
  /** In a row, up to now. */
  readonly failures: number
  /** In a row, up to now. */
  readonly successes: number
  readonly verdict: 'waiting' | 'passing' | 'failing'
  /** What was wrong at the last look; empty when nothing was. */
  readonly problem: string
}

export interface Thresholds {
  /** Failures in a row that make it failing, from 1. */
  readonly failures: number
  /** Successes in a row that make it passing, from 1. */
  readonly successes: number
}

export const UNKNOWN: Tally = { failures: 0, successes: 0, verdict: 'waiting', problem: '' }

/** The tally after one more look. `problem` is undefined when the check passed. */
export function tallied(before: Tally, problem: string | undefined, thresholds: Thresholds): Tally {
  if (problem === undefined) {
    const successes = before.successes + 1
    const verdict = successes >= thresholds.successes ? 'passing' : before.verdict
    // What is not yet trusted again still says why.
    return { failures: 0, successes, verdict, problem: verdict === 'passing' ? '' : before.problem }
  }
  const failures = before.failures + 1
  const verdict = failures >= thresholds.failures ? 'failing' : before.verdict
  return { failures, successes: 0, verdict, problem }
}

/** The health of a running program. Passing: each check has passed, and none is failing. With no checks, running is all that is asked. */
export function healthOf(checks: readonly { readonly name: string; readonly tally: Tally }[]): {
  health: Health
  reason: string
} {
  const failing = checks.find(({ tally }) => tally.verdict === 'failing')
  if (failing !== undefined) return { health: 'failing', reason: `check ${failing.name}: ${failing.tally.problem}` }
  const waiting = checks.find(({ tally }) => tally.verdict === 'waiting')
  if (waiting !== undefined) {
    const why = waiting.tally.problem === '' ? '' : `: ${waiting.tally.problem}`
    return { health: 'unknown', reason: `check ${waiting.name} has not passed yet${why}` }
  }
  return { health: 'passing', reason: checks.length === 0 ? 'the program is running' : 'every check passes' }
}
