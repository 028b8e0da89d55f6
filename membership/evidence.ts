import type { Suspicion } from '../protocol/index.ts'

/** What an observer can hold against a subject that it does not hear, the weakest first. */
const STRENGTH: readonly Suspicion['evidence'][] = ['silence', 'unreachable', 'refused']

/** Greater for stronger evidence. An observer's stronger word takes the place of its weaker one, never the other way round. */
export const strength = (evidence: Suspicion['evidence']): number => STRENGTH.indexOf(evidence)

/**
 * What a host says when a connection to it is begun and nothing more (its kernel answers, whatever its processes do).
 * `open`: something listens, though it may stand still. `refused`: nothing does. `none`: no answer came.
 */
export type Knock = 'open' | 'refused' | 'none'
