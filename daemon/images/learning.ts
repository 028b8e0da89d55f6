import type { Logger } from 'pino'
import {
  type ChunkRef,
  chunksNamed,
  type Digest,
  decodeEntries,
  encodeIndex,
  FleetError,
  gapsIn,
  INDEX_ENTRY,
  indexBytes,
  type Manifest,
  type NodeId,
  openManifest,
  type Random,
  sha256,
  toFleetError,
} from '../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../rollout/index.ts'
import type { Network } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import {
  type Description,
  decodeDescription,
  encodeQuestion,
  MAX_RUNS,
  PART,
  type Question,
  SERVICE,
  SHORT_PART,
} from './wire.ts'

/** How long a provider may take to say what an image is, at first: a part of an index is up to PART bytes, which takes a link of LIMITS.lowestRate 92 s. Milliseconds. */
const DESCRIBE_TIMEOUT = 5_000
/** And once all have been asked and none could in that time; in between it doubles each time. Milliseconds. */
const LONGEST_DESCRIBE = 120_000
/** How long to wait before asking again who has an image that nobody has offered yet. Milliseconds. */
const SEEK_AGAIN = 500

type Ask = (question: Partial<Question>) => Promise<Description>

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
    const ask = async (question: Partial<Question>): Promise<Description> =>
      decodeDescription(
        await network.request(
          peer,
          SERVICE.describe,
          encodeQuestion({ image: digest, part: 0, short: false, runs: [], ...question }),
          { signal: timeLimit(patience, signal) },
        ),
      )
    // Who knows no chunk learns nothing from short names.
    const first = await ask({ short: store.images().length > 0 })
    const manifest: Manifest = openManifest(first.manifest, digest)
    assertTrusted(digest, first.endorsement, `${manifest.name}:${manifest.version}`)
    const size = indexBytes(manifest)
    const index = (first.short ? await inShort(ask, first, manifest) : undefined) ?? (await inFull(ask, first, size))
    return admit(digest, { manifest: first.manifest, index, endorsement: first.endorsement })
  }

  /** The index from names of its chunks, of which most are known here; undefined where that is more than half of it, or does not come out right. */
  const inShort = async (
    ask: Ask,
    first: Description,
    { chunks, index }: Manifest,
  ): Promise<Uint8Array | undefined> => {
    const names = [first.part]
    for (let part = 1; part * SHORT_PART < chunks; part++) names.push((await ask({ short: true, part })).part)
    const refs = chunksNamed(Buffer.concat(names), knownChunks(store))
    const gaps = gapsIn(refs).flatMap(inPieces)
    if (refs.length !== chunks || gaps.reduce((sum, [, count]) => sum + count, 0) > chunks / 2) return undefined
    for (let at = 0; at < gaps.length; ) {
      const runs: [number, number][] = []
      for (let count = 0; at < gaps.length && runs.length < MAX_RUNS; at++) {
        count += gaps[at]![1]
        if (count > MOST_ENTRIES) break
        runs.push(gaps[at]!)
      }
      const entries = decodeEntries((await ask({ runs })).part).values()
      for (const [first, count] of runs)
        for (let each = first; each < first + count; each++) refs[each] = entries.next().value
    }
    if (refs.some(ref => ref === undefined)) return undefined
    const bytes = encodeIndex(refs as ChunkRef[])
    return sha256(bytes) === index ? bytes : undefined
  }
  const inFull = async (ask: Ask, first: Description, size: number): Promise<Uint8Array> => {
    const parts = first.short ? [] : [first.part]
    for (let part = parts.length; part * PART < size; part++) parts.push((await ask({ part })).part)
    return Buffer.concat(parts)
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

/** A part holds so many entries. */
const MOST_ENTRIES = Math.floor(PART / INDEX_ENTRY)

/** Runs that fit one answer each. */
function inPieces([first, count]: readonly [number, number]): [number, number][] {
  return Array.from({ length: Math.ceil(count / MOST_ENTRIES) }, (_, at) => [
    first + at * MOST_ENTRIES,
    Math.min(MOST_ENTRIES, count - at * MOST_ENTRIES),
  ])
}

function* knownChunks(store: ImageStore): Generator<ChunkRef> {
  for (const { index } of store.images()) yield* index
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
