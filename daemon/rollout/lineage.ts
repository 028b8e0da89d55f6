import type { Digest, Manifest, RolloutDraft } from '../../protocol/index.ts'
import type { Images } from '../images/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Draft } from './draft.ts'

/** How long those who have an old image may take to say what it is. Milliseconds. */
const LEARN_LIMIT = 3_000

/** What the images that a layer has run say of themselves. One that nobody can be asked about is no barrier, and `reversible` is null then. */
export const lineageOf = (
  images: Pick<Images, 'get' | 'learn'>,
  past: Draft['past'],
  signal: AbortSignal,
): Promise<RolloutDraft['lineage']> =>
  Promise.all(
    past.map(async ({ image, version }) => {
      const manifest = await manifestOf(images, image, signal)
      return { image, version, barrier: manifest?.barrier ?? false, reversible: manifest?.reversible ?? null }
    }),
  )

async function manifestOf(
  images: Pick<Images, 'get' | 'learn'>,
  image: Digest,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  const known = images.get(image)
  if (known !== undefined) return known.manifest
  try {
    return (await images.learn(image, timeLimit(LEARN_LIMIT, signal))).manifest
  } catch {
    return undefined
  }
}

/** Nodes that do not run beside the layer what its new image requires. */
export const lackingOf = (roster: Draft['roster'], requires: Manifest['requires']): RolloutDraft['lacking'] =>
  roster.flatMap(({ node, name, layers }) =>
    Object.entries(requires).flatMap(([layer, image]) => {
      const runs = layers[layer] ?? null
      return runs === image ? [] : [{ node, name, layer, requires: image, runs }]
    }),
  )
