import { HOST } from './host.ts'
import { NETWORK } from './network.ts'
import { ROLLOUTS_AND_IMAGES } from './rollouts.ts'
import type { Check, Facts, Finding } from './types.ts'

const CHECKS: readonly Check[] = [...NETWORK, ...HOST, ...ROLLOUTS_AND_IMAGES]

/** What one check came to: what it found, or that all is well with it. */
export interface Checked {
  readonly check: string
  readonly findings: readonly Finding[]
  /** Empty where something was found. */
  readonly good: string
}

/** All checks on what is known. While the daemon belongs to no fleet only those are done that are about its host. */
export function diagnose(facts: Facts): Checked[] {
  const checks = facts.info.fleet === null ? [NETWORK[0]!, ...HOST.filter(({ name }) => name === 'disk')] : CHECKS
  return checks.map(({ name, look, good }) => {
    const findings = look(facts)
    return { check: name, findings, good: findings.length === 0 ? good(facts) : '' }
  })
}

/** Problems first. */
export const bySeverity = (all: readonly Checked[]): (Finding & { readonly check: string })[] =>
  all
    .flatMap(({ check, findings }) => findings.map(finding => ({ check, ...finding })))
    .sort((a, b) => Number(b.severity === 'problem') - Number(a.severity === 'problem'))
