import type { Policy } from './statements/policy.ts'

/** A count, or a share of `of` rounded down; at least 1, or nothing would ever move. */
export function amountOf(amount: number | string, of: number): number {
  return Math.max(1, typeof amount === 'number' ? amount : Math.floor((Number.parseInt(amount, 10) * of) / 100))
}

/** The most of a group's `size` members that the policy lets be voluntarily down at once; undefined where it leaves that to each plan. */
export function budgetOf(policy: Policy, group: string, size: number): number | undefined {
  const budget = (policy.groups[group] ?? policy.groups['*'])?.maxUnavailable
  return budget === undefined ? undefined : amountOf(budget, size)
}
