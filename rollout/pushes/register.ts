import type { Digest, NodeId, Push, Statement } from '../../protocol/index.ts'

type PushStatement = Statement<Push>

/** What a register does with a push that it is shown. */
export interface Taken {
  readonly news: boolean
  /** Pushes that are kept no more. */
  readonly dropped: readonly PushStatement[]
}

/**
 * What `repository:reference` stands for, out of all pushes that are known: the newest push of each. A merge: whatever the order in
 * which the same pushes come, and however often, the same ones are kept, as long as there are fewer than the limits.
 */
export interface Register {
  /** Whether it would replace what is known of its reference. */
  isNews(push: PushStatement): boolean
  take(push: PushStatement): Taken
  /** The newest push of a reference, which may be that it was deleted. */
  newest(repository: string, reference: string): PushStatement | undefined
  /** The newest pushes of all references of a repository. */
  of(repository: string): readonly PushStatement[]
  /** Pushes that name an image of the fleet. */
  naming(image: Digest): readonly PushStatement[]
  get(id: Digest): PushStatement | undefined
  all(): readonly PushStatement[]
}

const isOlder = (a: PushStatement, b: PushStatement): boolean =>
  a.body.at < b.body.at || (a.body.at === b.body.at && a.id < b.id)

/** Limits: pushes in all, and of one node. Past them the oldest is dropped, so that no node can fill everybody's disk or push out all others. */
export function createRegister(limits: { readonly pushes: number; readonly ofNode: number }): Register {
  const repositories = new Map<string, Map<string, PushStatement>>()
  const byId = new Map<Digest, PushStatement>()
  const byImage = new Map<Digest, Set<PushStatement>>()
  const byNode = new Map<NodeId, Set<PushStatement>>()

  const add = (push: PushStatement): void => {
    const { repository, reference, node, pushed } = push.body
    byId.set(push.id, push)
    into(repositories, repository, () => new Map<string, PushStatement>()).set(reference, push)
    into(byNode, node, () => new Set<PushStatement>()).add(push)
    if (pushed !== null) into(byImage, pushed.image, () => new Set<PushStatement>()).add(push)
  }
  const remove = (push: PushStatement): void => {
    const { repository, reference, node, pushed } = push.body
    byId.delete(push.id)
    const references = repositories.get(repository)!
    references.delete(reference)
    if (references.size === 0) repositories.delete(repository)
    outOf(byNode, node, push)
    if (pushed !== null) outOf(byImage, pushed.image, push)
  }
  const oldest = (pushes: Iterable<PushStatement>): PushStatement | undefined => {
    let found: PushStatement | undefined
    for (const push of pushes) if (found === undefined || isOlder(push, found)) found = push
    return found
  }

  const newest = (repository: string, reference: string): PushStatement | undefined =>
    repositories.get(repository)?.get(reference)
  const isNews = (push: PushStatement): boolean => {
    const before = newest(push.body.repository, push.body.reference)
    return before === undefined || (before.id !== push.id && isOlder(before, push))
  }

  return {
    isNews,
    take(push) {
      if (!isNews(push)) return { news: false, dropped: [] }
      const { repository, reference, node } = push.body
      const before = newest(repository, reference)
      const dropped: PushStatement[] = []
      if (before !== undefined) {
        remove(before)
        dropped.push(before)
      }
      add(push)
      const ofNode = byNode.get(node)!
      const surplus =
        ofNode.size > limits.ofNode ? oldest(ofNode) : byId.size > limits.pushes ? oldest(byId.values()) : undefined
      if (surplus !== undefined) {
        remove(surplus)
        if (surplus === push) return { news: false, dropped }
        dropped.push(surplus)
      }
      return { news: true, dropped }
    },
    newest,
    of: repository => [...(repositories.get(repository)?.values() ?? [])],
    naming: image => [...(byImage.get(image) ?? [])],
    get: id => byId.get(id),
    all: () => [...byId.values()],
  }
}

function into<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}

function outOf<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key)
  set?.delete(value)
  if (set?.size === 0) map.delete(key)
}
