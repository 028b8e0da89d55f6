import pLimit from 'p-limit'
import type { Logger } from 'pino'
import { type Digest, type NodeId, toFleetError } from '../../protocol/index.ts'
import { keepersOf } from '../../rollout/index.ts'
import type { Images } from '../images/index.ts'
import type { LivePush, Pushes } from './pushes.ts'

/** How many members hold what was pushed to a repository, beside the node that took the push. */
export const COPIES = 3
/** Members are asked for it although the last changes of who is here may have made others the keepers. */
const SLACK = 2
/** How often it is looked whether something is missing here. Milliseconds. */
const LOOK_EVERY = 15_000
/** What was found complete is not looked at again for this long: a scrub or a collection may have taken some of it. Milliseconds. */
const TRUST_FOR = 3_600_000
const AT_ONCE = 2
/** A copy that gets no further for this long is left, for the next look to try again: it must not keep others waiting. Milliseconds. */
const STALL = 60_000

export interface Keeper {
  /** Members that should have this image: its keepers, and whoever took the push. */
  holders(image: Digest): readonly NodeId[]
  /** Images that this node is one of the keepers of, or took the push of. */
  kept(): Digest[]
  /** Something was pushed: looks soon. */
  consider(): void
  stop(): Promise<void>
}

export interface KeeperInit {
  readonly self: NodeId
  readonly pushes: Pick<Pushes, 'live' | 'naming'>
  readonly images: Pick<Images, 'get' | 'heldChunks' | 'fetch'>
  /** Members that are here and stay: alive, and not of class intermittent. */
  readonly candidates: () => readonly NodeId[]
  readonly now: () => number
  readonly log: Logger
}

/**
 * Sees to it that what is pushed has COPIES holders besides the node that took it, which may go away. Which ones follows from who is
 * a member, so nobody has to be asked or told; when one of them is gone the next in line fetches the content.
 */
export function createKeeper(init: KeeperInit): Keeper {
  const { self, pushes, images, log } = init
  const stopping = new AbortController()
  const limit = pLimit(AT_ONCE)
  const fetching = new Map<Digest, Promise<void>>()
  const completeAt = new Map<Digest, number>()
  let soon: NodeJS.Immediate | undefined

  const isMine = (push: LivePush, candidates: readonly NodeId[]): boolean =>
    push.body.node === self || keepersOf(push.body.repository, candidates, COPIES).includes(self)
  const isComplete = (image: Digest): boolean => {
    const stored = images.get(image)
    if (stored === undefined || images.heldChunks(stored) < stored.index.length) return false
    completeAt.set(image, init.now())
    return true
  }
  const fetch = async (image: Digest): Promise<void> => {
    const stalled = new AbortController()
    const timer = setTimeout(() => stalled.abort(), STALL)
    try {
      await images.fetch(image, {
        signal: AbortSignal.any([stopping.signal, stalled.signal]),
        onProgress: () => timer.refresh(),
      })
      completeAt.set(image, init.now())
    } catch (error) {
      if (!stopping.signal.aborted)
        log.warn({ image, reason: toFleetError(error).message }, `a pushed image could not be copied here: ${image}`)
    } finally {
      clearTimeout(timer)
      fetching.delete(image)
    }
  }
  const look = (): void => {
    soon = undefined
    if (stopping.signal.aborted) return
    const live = pushes.live()
    const wanted = new Set(live.map(push => push.body.pushed.image))
    for (const image of completeAt.keys()) if (!wanted.has(image)) completeAt.delete(image)
    const candidates = init.candidates()
    for (const push of live) {
      const { image } = push.body.pushed
      const since = completeAt.get(image)
      if (fetching.has(image) || (since !== undefined && init.now() - since < TRUST_FOR)) continue
      if (!isMine(push, candidates) || isComplete(image)) continue
      fetching.set(
        image,
        limit(() => (stopping.signal.aborted ? Promise.resolve() : fetch(image))),
      )
    }
  }
  const timer = setInterval(look, LOOK_EVERY)

  return {
    holders(image) {
      const named = pushes.naming(image)
      const candidates = init.candidates()
      return [
        ...new Set(named.flatMap(({ body }) => [body.node, ...keepersOf(body.repository, candidates, COPIES + SLACK)])),
      ]
    },
    kept() {
      const candidates = init.candidates()
      return pushes
        .live()
        .filter(push => isMine(push, candidates))
        .map(push => push.body.pushed.image)
    },
    consider() {
      soon ??= setImmediate(look)
    },
    async stop() {
      stopping.abort()
      clearInterval(timer)
      clearImmediate(soon)
      await Promise.allSettled(fetching.values())
    },
  }
}
