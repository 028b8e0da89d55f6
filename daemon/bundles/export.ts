import { FleetError } from '../../protocol/index.ts'
import { type BundledKind, bundleOf, type StoredImage } from '../../rollout/index.ts'
import { type BundleContext, titleOf } from './context.ts'

/** Policies and pushes that a bundle carries at most, the newest. */
const MOST = { policies: 512, pushes: 64, plans: 16 }

/** A bundle that is ready to be written. */
export interface Outgoing {
  readonly image: StoredImage
  /** All its bytes. */
  readonly size: number
  /** Writes it, piece by piece. Throws `corrupt` or `not-found` at a chunk that this disk does not give back. */
  send(write: (bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void>
}

/**
 * An image as a bundle: its signature, the policies under which that counts, with `withPlan` the newest plans that bring it, and its chunks but for
 * those that `since` has too. The same image gives the same bytes. Throws `refused` when it is not whole here or could not be imported anywhere.
 */
export async function exportBundle(
  context: BundleContext,
  image: StoredImage,
  { since, withPlan }: { since: StoredImage | undefined; withPlan: boolean },
): Promise<Outgoing> {
  const { store, trust, images, pushes } = context
  const title = titleOf(image)
  const missing = image.index.length - images.heldChunks(image)
  if (missing > 0)
    throw new FleetError(
      'refused',
      `${missing} chunks of ${title} are not on this host; get them first: fleetctl image fetch ${title}`,
    )
  const vouchers = pushes.naming(image.digest)
  if (image.endorsement === undefined && vouchers.length === 0)
    throw new FleetError('refused', `no publisher has signed ${title}: nobody could import it`)
  const plans = withPlan ? context.plansFor(image.digest) : []
  if (withPlan && plans.length === 0)
    throw new FleetError(
      'refused',
      `this node knows no plan that brings ${title}; sign one with "fleetctl rollout start --image ${title} ...", or export it without --with-plan`,
    )
  const { fleet, chain } = trust.demand()
  const statement = (kind: BundledKind) => (each: { readonly bytes: Uint8Array }) => ({ kind, bytes: each.bytes })
  const { before, chunks } = bundleOf({
    head: { fleet, image: image.digest, since: since?.digest ?? null },
    // Policy 1 is known to every member: its digest is what names the fleet.
    statements: [
      ...chain.slice(1).slice(-MOST.policies).map(statement('policy')),
      ...vouchers.slice(-MOST.pushes).map(statement('push')),
      ...plans.slice(0, MOST.plans).map(statement('plan')),
    ],
    manifest: (await store.manifestBytes(image.digest))!,
    endorsement: image.endorsement ?? new Uint8Array(),
    index: image.index,
    without: new Set(since?.index.map(ref => ref.digest)),
  })
  return {
    image,
    size: chunks.reduce((sum, { length }) => sum + length, before.byteLength),
    send: (write, signal) =>
      context.during(image.digest, async () => {
        await write(before)
        for (const { digest } of chunks) {
          signal.throwIfAborted()
          const chunk = await store.get(digest)
          if (chunk === undefined)
            throw new FleetError('not-found', `chunk ${digest.slice(0, 12)} of ${title} is not here any more`)
          await write(chunk.bytes)
        }
      }),
  }
}
