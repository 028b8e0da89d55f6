import {
  type Digest,
  FleetError,
  open,
  openPlan,
  type Plan,
  POLICY,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import { type BundleHead, type BundleSource, readBundle, type StoredImage } from '../../rollout/index.ts'
import { type BundleContext, titleOf } from './context.ts'

/** Chunk writes under way at once: enough to keep the disk busy while the next is read and hashed. */
const WRITERS = 8

export interface Incoming {
  readonly image: StoredImage
  /** Chunks that were read: those that were here before are passed over. */
  readonly newChunks: number
  /** Policies that were news. */
  readonly policies: number
  /** Plans that came with it, each signed by an operator. None of them has begun. */
  readonly plans: readonly Statement<Plan>[]
}

/**
 * Brings in the image of a bundle, which counts for nothing before its signature does. Chunks that are verified are on disk and offered to
 * others at once; cut off anywhere, the next import passes over them. Throws `corrupt`, `too-large`, `unauthorized` or `refused` with what is
 * wrong with the bundle, and `no-space`.
 */
export async function importBundle(
  context: BundleContext,
  source: BundleSource,
  options: { signal: AbortSignal; onProgress: (progress: { done: number; total: number }) => void },
): Promise<Incoming> {
  const parts = readBundle(source)
  try {
    const { value: head } = await parts.next()
    if (head?.type !== 'head') throw new FleetError('corrupt', 'the bundle has no head')
    const { fleet } = context.trust.demand()
    if (head.fleet !== fleet)
      throw new FleetError(
        'unauthorized',
        `the bundle is for fleet ${head.fleet.slice(0, 12)}, and this daemon is a member of fleet ${fleet.slice(0, 12)}`,
      )
    return await context.during(head.image, () => take(context, head, parts, options))
  } finally {
    await parts.return(undefined)
  }
}

async function take(
  { store, trust, images, pushes, acceptPolicy }: BundleContext,
  head: BundleHead,
  parts: ReturnType<typeof readBundle>,
  { signal, onProgress }: Parameters<typeof importBundle>[2],
): Promise<Incoming> {
  const writing = new Set<Promise<void>>()
  const plans: Statement<Plan>[] = []
  let signed: { digest: Digest; bytes: Uint8Array; endorsement: Uint8Array } | undefined
  let image: StoredImage | undefined
  let policies = 0
  let newChunks = 0
  let done = 0
  let total = 0
  try {
    for await (const part of parts) {
      signal.throwIfAborted()
      switch (part.type) {
        case 'head':
          break
        case 'statement':
          if (part.kind === 'policy') policies += Number(await takePolicy(trust, acceptPolicy, part.bytes))
          else if (part.kind === 'plan') plans.push(openPlanFor(head.image, trust, part.bytes))
          else if (pushes.gossip(part.bytes) === 'reject')
            throw new FleetError('unauthorized', 'the bundle holds a push that no member of this fleet has signed')
          break
        case 'image':
          // Before its index is read: that may be large, and anybody can write a manifest.
          images.assertTrusted(part.digest, part.endorsement, titleOf(part))
          signed = part
          break
        case 'index': {
          const carried = new Set(part.chunks.map(at => part.refs[at]!.digest))
          const absent = part.refs.filter(({ digest }) => !carried.has(digest) && !store.has(digest)).length
          if (absent > 0) throw incomplete(absent, part.refs.length, head.since, store)
          total = part.size
          image = await images.admit(signed!.digest, {
            manifest: signed!.bytes,
            index: part.bytes,
            endorsement: signed!.endorsement,
          })
          break
        }
        case 'chunk': {
          const ref = image!.index[part.at]!
          if (!store.has(ref.digest)) {
            const chunk = await part.take()
            newChunks += 1
            const write = store
              .put(chunk)
              .then(() => images.offer(image!, part.at))
              .finally(() => writing.delete(write))
            write.catch(() => undefined) // it is waited for below
            writing.add(write)
            if (writing.size >= WRITERS) await Promise.race(writing)
          }
          done += ref.length
          onProgress({ done, total })
          break
        }
        default:
          part satisfies never
      }
    }
    await Promise.all(writing)
  } catch (error) {
    await Promise.allSettled(writing)
    throw toFleetError(error)
  }
  return { image: image!, newChunks, policies, plans }
}

/** True when it was news. Throws `unauthorized` or `conflict` when it is none of this fleet's. */
async function takePolicy(
  trust: BundleContext['trust'],
  accept: BundleContext['acceptPolicy'],
  bytes: Uint8Array,
): Promise<boolean> {
  const { fleet, chain } = trust.demand()
  const policy = open(POLICY, fleet, bytes)
  const known = chain[policy.body.version - 1]
  if (known === undefined) {
    await accept(bytes)
    return true
  }
  if (known.id !== policy.id)
    throw new FleetError('conflict', `the bundle holds another policy ${policy.body.version} than this fleet has`)
  return false
}

/** A plan that an operator signed, and that is for this image. */
function openPlanFor(image: Digest, trust: BundleContext['trust'], bytes: Uint8Array): Statement<Plan> {
  const plan = openPlan(trust.demand(), bytes)
  if (plan.body.image !== image)
    throw new FleetError('corrupt', 'the bundle holds a plan for another image than its own')
  return plan
}

function incomplete(absent: number, chunks: number, since: Digest | null, store: BundleContext['store']): FleetError {
  const what = `${absent} of the ${chunks} chunks of its image are neither in the bundle nor on this host`
  if (since === null) return new FleetError('refused', `${what}: it was not made by fleetctl image export`)
  const base = store.image(since)
  const before = base === undefined ? `image ${since.slice(0, 12)}` : titleOf(base)
  return new FleetError(
    'refused',
    `${what}: it was exported with --since ${before}, which is not whole here; import that one first, or export the image without --since`,
  )
}
