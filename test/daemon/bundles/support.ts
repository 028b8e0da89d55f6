import type { BundleContext } from '../../../daemon/bundles/context.ts'
import { exportBundle } from '../../../daemon/bundles/export.ts'
import {
  type Authority,
  type Digest,
  ENDORSEMENT,
  FleetError,
  isPublisher,
  open,
  openManifest,
  type Plan,
  type Statement,
  sign,
  withPolicy,
} from '../../../protocol/index.ts'
import { type ImageStore, openStore, type StoredImage } from '../../../rollout/index.ts'
import { NOW, type TestFleet } from '../../protocol/fleet.ts'
import { memoryMetadata } from '../../rollout/images/support.ts'

/** A store and what bundles need of a daemon around it, without the daemon. */
export interface Host extends BundleContext {
  readonly plans: Statement<Plan>[]
  /** Chunks that others were told of, as they came. */
  readonly offered: number[]
  authority(): Authority
}

export async function host(directory: string, authority: Authority): Promise<Host> {
  let now = authority
  const store: ImageStore = await openStore(directory, memoryMetadata())
  const plans: Statement<Plan>[] = []
  const offered: number[] = []
  const assertTrusted = (image: Digest, endorsement: Uint8Array, title: string): void => {
    try {
      const statement = open(ENDORSEMENT, now.fleet, endorsement)
      if (statement.body.image === image && isPublisher(now, statement)) return
    } catch {
      // Said below.
    }
    throw new FleetError('unauthorized', `image ${title} is not signed by a publisher of this fleet`)
  }
  return {
    store,
    plans,
    offered,
    authority: () => now,
    trust: { demand: () => now },
    images: {
      heldChunks: image => image.index.filter(ref => store.has(ref.digest)).length,
      assertTrusted,
      async admit(digest, { manifest, index, endorsement }) {
        assertTrusted(digest, endorsement, openManifest(manifest, digest).name)
        await store.addImage(digest, manifest, index)
        await store.endorse(digest, endorsement)
        return store.image(digest)!
      },
      offer: (_image, at) => void offered.push(at),
    },
    pushes: { naming: () => [], gossip: () => 'reject' },
    plansFor: image => plans.filter(plan => plan.body.image === image),
    async acceptPolicy(statement) {
      now = withPolicy(now, statement)
    },
    during: (_image, work) => work(),
  }
}

/** Signs an image of the host as the fleet's operator. */
export async function endorse({ store }: Host, fleet: TestFleet, image: Digest): Promise<StoredImage> {
  await store.endorse(image, sign(ENDORSEMENT, fleet.id, NOW, { image }, [fleet.operator]).bytes)
  return store.image(image)!
}

export async function bundleBytes(
  from: Host,
  image: StoredImage,
  options: { since?: StoredImage; withPlan?: boolean } = {},
): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  const { size, send } = await exportBundle(from, image, {
    since: options.since,
    withPlan: options.withPlan === true,
  })
  await send(async bytes => void pieces.push(bytes), new AbortController().signal)
  const bundle = Buffer.concat(pieces)
  if (bundle.byteLength !== size) throw new Error(`${bundle.byteLength} bytes were written of a bundle of ${size}`)
  return bundle
}
