import type { Logger } from 'pino'
import {
  type Digest,
  FleetError,
  indexBytes,
  type Manifest,
  type NodeId,
  openManifest,
  type Random,
  toFleetError,
} from '../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import { type Description, decodeDescription, encodeQuestion, PART, SERVICE } from './wire.ts'

/** How long a provider may take to say what an image is, at first: a part of an index is up to PART bytes, which takes a link of LIMITS.lowestRate 92 s. Milliseconds. */
const DESCRIBE_TIMEOUT = 5_000
/** And once all have been asked and none could in that time; in between it doubles each time. Milliseconds. */
const LONGEST_DESCRIBE = 120_000
/** How long to wait before asking again who has an image that nobody has offered yet. Milliseconds. */
const SEEK_AGAIN = 500

export interface LearningInit {
  readonly store: ImageStore
  readonly network: Network
  readonly random: Random
  readonly log: Logger
  readonly providers: (image: Digest) => readonly NodeId[]
  readonly vouched: (image: Digest) => boolean
  /** Throws `unauthorized`. */
  assertTrusted(image: Digest, endorsement: Uint8Array, title: string): void
  admit(
    image: Digest,
    parts: { readonly manifest: Uint8Array; readonly index: Uint8Array; readonly endorsement: Uint8Array },
  ): Promise<StoredImage>
}

/** Learns what an image is, its manifest and its index, from those who have it; asks them for as long as it takes, and longer of each where the link is slow. */
export function createLearning(init: LearningInit): (image: Digest, signal: AbortSignal) => Promise<StoredImage> {
  const { store, network, log, assertTrusted, admit } = init

  /** Asks one provider what the image is, and believes nothing of the answer that does not verify. */
  const describe = async (
    peer: NodeId,
    digest: Digest,
    patience: number,
    signal: AbortSignal,
  ): Promise<StoredImage> => {
    const ask = async (part: number): Promise<Description> =>
      decodeDescription(
        await network.request(peer, SERVICE.describe, encodeQuestion({ image: digest, part }), {
          signal: timeLimit(patience, signal),
        }),
      )
    const { manifest: manifestBytes, endorsement, part: first } = await ask(0)
    const manifest: Manifest = openManifest(manifestBytes, digest)
    assertTrusted(digest, endorsement, `${manifest.name}:${manifest.version}`)
    const parts = [first]
    for (let part = 1; part * PART < indexBytes(manifest); part++) parts.push((await ask(part)).part)
    return admit(digest, { manifest: manifestBytes, index: Buffer.concat(parts), endorsement })
  }

  return async (digest, signal) => {
    let trouble = ''
    for (let patience = DESCRIBE_TIMEOUT; ; ) {
      let late = false
      const known = store.image(digest)
      if (known !== undefined && (known.endorsement !== undefined || init.vouched(digest))) return known
      for (const peer of init.random.shuffle(init.providers(digest).filter(provider => provider !== network.self))) {
        try {
          return await describe(peer, digest, patience, signal)
        } catch (error) {
          const { code, message } = toFleetError(error)
          late ||= code === 'timeout'
          if (message !== trouble)
            log.warn(
              { peer, image: digest, reason: message },
              `cannot learn what image ${digest.slice(0, 12)} is: ${message}`,
            )
          trouble = message
        }
        signal.throwIfAborted()
      }
      if (late) patience = Math.min(LONGEST_DESCRIBE, patience * 2)
      await pause(SEEK_AGAIN, signal)
    }
  }
}

function pause(time: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', aborted)
      resolve()
    }, time)
    function aborted(): void {
      clearTimeout(timer)
      reject(new FleetError('timeout', 'cancelled'))
    }
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  })
}
