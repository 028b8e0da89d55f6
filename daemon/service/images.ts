import { stat } from 'node:fs/promises'
import { ENDORSEMENT, type FetchProgress, open } from '../../protocol/index.ts'
import type { StoredImage } from '../../rollout/index.ts'
import type { FleetService } from '../api/index.ts'
import type { Scope } from './scope.ts'

/** Images as the API offers them. */
export function imageAnswers({ fleetd, members, nameOf }: Scope) {
  const { trust, images, retention, network } = fleetd
  const imageView = (image: StoredImage) => ({
    digest: image.digest,
    name: image.manifest.name,
    version: image.manifest.version,
    kind: image.manifest.kind,
    size: image.manifest.size,
    chunks: image.manifest.chunks,
    held: images.heldChunks(image),
    endorsed: image.endorsement !== undefined,
    pinned: retention.isPinned(image.digest),
    kept: retention.why(image.digest),
  })
  const nameOfImage = ({ digest, manifest: { name, version } }: StoredImage) => ({ digest, name, version })
  /** An image that may not be here yet: by whole digest it can be asked of others. */
  const digestOf = (reference: string): StoredImage['digest'] =>
    /^[0-9a-f]{64}$/.test(reference) ? (reference as StoredImage['digest']) : images.resolve(reference).digest

  return {
    images: () => ({ images: images.list().map(imageView) }),
    image(reference) {
      const image = images.resolve(reference)
      const endorsers =
        image.endorsement === undefined ? [] : open(ENDORSEMENT, trust.demand().fleet, image.endorsement).signers
      return { ...imageView(image), manifest: image.manifest, endorsers }
    },
    async buildImage(build, progress, signal) {
      trust.demand()
      const kind =
        build.kind ?? ((await stat(build.path).catch(() => undefined))?.isDirectory() === true ? 'tree' : 'file')
      const built = await images.build(
        { ...build, kind },
        { signal, onProgress: done => progress({ done, total: done }) },
      )
      const { name, version, size, chunks } = built.manifest
      return { digest: built.digest, name, version, size, chunks, newChunks: built.newChunks }
    },
    endorseImage: (reference, statement) => images.endorse(images.resolve(reference).digest, statement),
    async fetchImage(reference, progress, signal) {
      trust.demand()
      let last: FetchProgress = { done: 0, total: 0, reused: 0, rate: 0, etaSeconds: null, peers: 0 }
      const image = await images.fetch(digestOf(reference), {
        signal,
        onProgress(next) {
          last = next
          progress(next)
        },
      })
      return { ...last, done: image.manifest.size, total: image.manifest.size, etaSeconds: 0 }
    },
    async verifyImage(reference, repair, progress, signal) {
      const image = images.resolve(reference)
      const result = await images.verify(image.digest, {
        signal,
        repair,
        onProgress: done => progress({ done, total: image.manifest.size }),
      })
      return {
        digest: image.digest,
        chunks: result.chunks,
        missing: result.missing.length,
        damaged: result.bad,
        repaired: result.repaired,
      }
    },
    async exportImage(reference, options) {
      const { exportImage } = await import('../bundles/index.ts')
      const since = options.since === undefined ? undefined : images.resolve(options.since)
      return exportImage(fleetd, images.resolve(reference), { since, withPlan: options.withPlan })
    },
    async importImage(path, progress, signal) {
      const { importImage } = await import('../bundles/index.ts')
      return importImage(fleetd, path, { signal, onProgress: progress })
    },
    async pinImage(reference, pinned) {
      const image = images.resolve(reference)
      await retention.pin(image.digest, pinned)
      return { ...nameOfImage(image), pinned }
    },
    async removeImage(reference) {
      const image = images.resolve(reference)
      return { ...nameOfImage(image), bytes: await retention.remove(image.digest) }
    },
    async collectImages(options) {
      const known = new Map(images.list().map(image => [image.digest, nameOfImage(image)]))
      const { images: gone, chunks, bytes, space } = await retention.collect(options)
      return {
        images: gone.map(digest => known.get(digest)!),
        chunks: chunks.length,
        bytes,
        dryRun: options.dryRun,
        ...space,
      }
    },
    imagePeers(reference) {
      const digest = digestOf(reference)
      const traffic = images.peers(digest)
      const offering = members()
        .members()
        .filter(member => member.id !== network.self && member.images.includes(digest))
        .map(member => member.id)
      return {
        peers: [...new Set([...traffic.keys(), ...offering])].map(node => {
          const seen = traffic.get(node)
          return {
            node,
            name: nameOf(node),
            bytes: seen?.received ?? 0,
            sent: seen?.sent ?? 0,
            offers: offering.includes(node),
            banned: seen?.banned !== undefined,
          }
        }),
      }
    },
  } satisfies Partial<FleetService>
}
