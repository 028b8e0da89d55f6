import type { Address, FleetError, NodeId, Plan, Statement } from '../../protocol/index.ts'
import type { LedgerValue, Objection } from '../../rollout/index.ts'
import { createLedgers, type Ledgers } from '../ledgers.ts'
import { createGroups, createPlans, type Groups, type Plans } from '../rollout/index.ts'
import type { Ground } from './ground.ts'

/** The register of each group, and the plans that they are about. */
export interface GroupLedgers {
  readonly plans: Plans
  readonly ledgers: Ledgers
  readonly groups: Groups
}

/** What is done about what a ledger says. */
export interface Obedience {
  observe(value: LedgerValue): void
  objection(plan: Statement<Plan>): Objection | undefined
  refuseForged(plan: Uint8Array, reason: FleetError): void
}

export function createGroupLedgers(ground: Ground, obedience: () => Obedience): GroupLedgers {
  const { dataDir, network, trust, roster, now, random, log } = ground
  const addresses = (node: NodeId): readonly Address[] => roster.find(node)?.addresses ?? []
  const plans = createPlans(plan => {
    const value = groups.known(plan.body.group)
    if (value?.plan === plan.id) obedience().observe(value)
  })
  const ledgers = createLedgers({
    network,
    trust,
    store: dataDir.ledger,
    plan: plans.get,
    addresses,
    objection: plan => obedience().objection(plan)?.reason,
    onForged: (plan, reason) => obedience().refuseForged(plan, reason),
    now,
    random,
    log,
  })
  const groups: Groups = createGroups({
    trust,
    network,
    access: ledgers.access,
    isOfEra: ledgers.isOfEra,
    believe: ledgers.believe,
    believed: ledgers.believed,
    members: () => ({
      count: roster.members()?.stats().alive ?? 0,
      knows: node => node === network.self || roster.knows(node),
      links: roster.members()?.links() ?? [],
      alive: roster.all().flatMap(({ id, status }) => (status === 'alive' && id !== network.self ? [id] : [])),
    }),
    addresses,
    onValue(value) {
      ledgers.believe(value)
      obedience().observe(value)
    },
    now,
    random,
    log,
  })
  return { plans, ledgers, groups }
}
