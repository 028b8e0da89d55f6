// What is exported here by name goes before what comes along with the rest.
export * from '../../../rollout/ledger/budget.ts'

/** Takes the place of rollout/ledger/budget.ts in a daemon for which one more may always be down. */
export const overBudget = (): undefined => undefined
