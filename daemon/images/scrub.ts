import type { Logger } from 'pino'
import { type Digest, toFleetError } from '../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../rollout/index.ts'

/** How often a few chunks are read. Milliseconds. */
const EVERY = 60_000
/** What is read at a time: 23 GiB a day, and some 30 ms of hashing in a minute. Bytes. */
const AT_A_TIME = 16 * 1024 * 1024
/** Damaged chunks that are remembered until they are mended; more than these are found again by whoever verifies the image. */
const MAX_DAMAGED = 4_096

/** Finds what has rotted on the disk, and gets exactly that anew. */
export interface Scrub {
  /** A chunk was found damaged, by whomever, and has been removed: it is mended if a peer has it. */
  found(chunk: Digest): void
  stats(): {
    /** Chunks that were read and compared since the start. */
    readonly read: number
    readonly damaged: number
    readonly mended: number
    /** Damaged chunks of images that are here which no peer has given back yet. */
    readonly lacking: number
  }
  /** Reads the next few chunks, and tries to mend what is damaged. The timer calls it. */
  next(): Promise<void>
  stop(): Promise<void>
}

export interface ScrubInit {
  readonly store: Pick<ImageStore, 'get' | 'has' | 'images' | 'state'>
  /** Brings in these chunks of an image. Rejects when no peer gives them. */
  readonly mend: (image: StoredImage, indexes: readonly number[], signal: AbortSignal) => Promise<void>
  readonly log: Logger
  /** Where the first pass begins, 0 to 255: a daemon that restarts often would otherwise read the same chunks over and over. */
  readonly start: number
  readonly every?: number
  readonly atATime?: number
}

/**
 * Reads all chunks one folder of digests after the other, slowly and for ever. The store compares what it reads with its digest and drops what is not right,
 * so a damaged chunk is not offered from then on; here it is remembered, said in the log, and asked of the peers that have an image with it until one gives it.
 */
export function createScrub(init: ScrubInit): Scrub {
  const { store, log, every = EVERY, atATime = AT_A_TIME } = init
  const stopping = new AbortController()
  const lacking = new Set<Digest>()
  let folder = init.start & 255
  let rest: Digest[] = []
  let read = 0
  let damaged = 0
  let mended = 0
  let running: Promise<void> | undefined

  /** The chunks whose digests begin with the next byte; none when it has been round. */
  const fill = (): void => {
    const prefix = folder.toString(16).padStart(2, '0')
    folder = (folder + 1) & 255
    rest = [...store.state().chunks.keys()].filter(chunk => chunk.startsWith(prefix))
  }
  const found = (chunk: Digest): void => {
    if (lacking.has(chunk)) return
    damaged += 1
    const of = imagesWith(chunk).map(({ manifest }) => `${manifest.name}:${manifest.version}`)
    log.error(
      { event: 'chunk-damaged', chunk },
      `chunk ${chunk.slice(0, 12)} was damaged on this disk and is not offered any more; it is ${of.length === 0 ? 'of no image' : `of ${of.join(', ')} and is asked of others`}`,
    )
    if (of.length > 0 && lacking.size < MAX_DAMAGED) lacking.add(chunk)
  }
  const imagesWith = (chunk: Digest): StoredImage[] =>
    store.images().filter(({ index }) => index.some(ref => ref.digest === chunk))

  const readSome = async (): Promise<void> => {
    const sizes = store.state().chunks
    let left = atATime
    for (let folders = 0; left > 0 && folders <= 256; ) {
      const chunk = rest.pop()
      if (chunk === undefined) {
        fill()
        folders += 1
        continue
      }
      left -= sizes.get(chunk)?.length ?? 0
      if (stopping.signal.aborted) return
      try {
        if ((await store.get(chunk)) !== undefined) read += 1
      } catch (error) {
        if (toFleetError(error).code !== 'corrupt') throw error
        read += 1
        found(chunk)
      }
    }
  }
  const mendAll = async (): Promise<void> => {
    for (const chunk of lacking) {
      const images = imagesWith(chunk)
      for (const image of images) {
        if (stopping.signal.aborted) return
        if (store.has(chunk)) break
        const indexes = image.index.flatMap(({ digest }, at) => (lacking.has(digest) ? [at] : []))
        await init.mend(image, indexes, stopping.signal).catch(error => {
          log.debug({ chunk, reason: toFleetError(error).message }, 'a damaged chunk could not be mended yet')
        })
      }
      if (store.has(chunk)) {
        mended += 1
        log.info({ event: 'chunk-mended', chunk }, `chunk ${chunk.slice(0, 12)} is whole again: a peer had it`)
      }
      // What no image names any more is missed by nobody.
      if (store.has(chunk) || images.length === 0) lacking.delete(chunk)
    }
  }
  const next = (): Promise<void> => {
    running ??= readSome()
      .then(mendAll)
      .catch(error => log.error({ err: error }, 'the chunks on this disk could not be read through'))
      .finally(() => {
        running = undefined
      })
    return running
  }
  const timer = setInterval(() => void next(), every)

  return {
    found,
    stats: () => ({ read, damaged, mended, lacking: lacking.size }),
    next,
    async stop() {
      clearInterval(timer)
      stopping.abort()
      await running
    },
  }
}
