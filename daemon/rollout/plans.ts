import type { Digest, Plan, Statement } from '../../protocol/index.ts'

/** The plans that this node has seen and found signed by an operator, by digest. The newest of each group stay in memory; all stay on disk. */
export interface Plans {
  get(id: Digest): Statement<Plan> | undefined
  /** Idempotent. */
  add(plan: Statement<Plan>): void
  /** Newest generation first. */
  of(group: string): readonly Statement<Plan>[]
  /** The newest plan of each group, where it is one for this image. */
  bringing(image: Digest): readonly Statement<Plan>[]
}

const KEPT_PER_GROUP = 32

export function createPlans(onNew: (plan: Statement<Plan>) => void): Plans {
  const byId = new Map<Digest, Statement<Plan>>()
  const byGroup = new Map<string, Statement<Plan>[]>()
  return {
    get: id => byId.get(id),
    add(plan) {
      if (byId.has(plan.id)) return
      byId.set(plan.id, plan)
      const list = [...(byGroup.get(plan.body.group) ?? []), plan].sort((a, b) => b.body.generation - a.body.generation)
      for (const old of list.splice(KEPT_PER_GROUP)) byId.delete(old.id)
      byGroup.set(plan.body.group, list)
      onNew(plan)
    },
    of: group => byGroup.get(group) ?? [],
    bringing: image => [...byGroup.values()].flatMap(([newest]) => (newest?.body.image === image ? [newest] : [])),
  }
}
