import type { Digest, Plan, Statement } from '../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../rollout/index.ts'
import type { Images } from '../images/index.ts'
import type { Pushes } from '../pushes/index.ts'
import type { Trust } from '../trust/index.ts'

/** What bundles need of the daemon. */
export interface BundleContext {
  readonly store: ImageStore
  readonly trust: Pick<Trust, 'demand'>
  readonly images: Pick<Images, 'heldChunks' | 'assertTrusted' | 'admit' | 'offer'>
  readonly pushes: Pick<Pushes, 'naming' | 'gossip'>
  /** The newest plan of each group that brings this image. */
  readonly plansFor: (image: Digest) => readonly Statement<Plan>[]
  /** Takes the next policy of the chain and passes it on. */
  readonly acceptPolicy: (statement: Uint8Array) => Promise<void>
  /** Keeps an image from being collected while the work goes on. */
  readonly during: <T>(image: Digest, work: () => Promise<T>) => Promise<T>
}

export const titleOf = ({ manifest }: Pick<StoredImage, 'manifest'>): string => `${manifest.name}:${manifest.version}`
