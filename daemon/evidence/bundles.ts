import { mkdir, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { type Digest, type Evidence, type NodeId, openEvidence, sha256 } from '../../protocol/index.ts'
import { diskError, writeDurably } from '../state/index.ts'

/** Bundles of one node that are kept, and bytes of all: the oldest go first, of whoever has the most. */
const KEPT = { ofNode: 64, bytes: 64 * 1024 * 1024 }

export interface Bundle {
  readonly digest: Digest
  readonly bytes: number
  readonly evidence: Pick<Evidence, 'node' | 'name' | 'layer' | 'version' | 'at' | 'cause' | 'reason'>
}

/** Bundles of evidence on this disk, this node's own and those of others, each in a file that is named by its content. */
export interface Bundles {
  list(): readonly Bundle[]
  has(digest: Digest): boolean
  /** On disk when it resolves; gives those that had to go for it. Idempotent. */
  put(digest: Digest, bytes: Uint8Array, evidence: Evidence): Promise<readonly Bundle[]>
  /** Undefined when it is not here, or not what it was. */
  get(digest: Digest): Promise<Uint8Array | undefined>
}

const NAME = /^([0-9a-f]{64})\.json$/

/** What cannot be read is left where it is, and said. */
export async function openBundles(folder: string, log: Logger): Promise<Bundles> {
  const known = new Map<Digest, Bundle>()
  const pathOf = (digest: Digest): string => join(folder, `${digest}.json`)
  const summary = (digest: Digest, bytes: number, evidence: Evidence): Bundle => {
    const { node, name, layer, version, at, cause, reason } = evidence
    return { digest, bytes, evidence: { node, name, layer, version, at, cause, reason } }
  }
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    for (const file of await readdir(folder)) {
      const digest = NAME.exec(file)?.[1] as Digest | undefined
      if (digest === undefined) continue
      const bytes = await readFile(pathOf(digest))
      if (sha256(bytes) === digest) known.set(digest, summary(digest, bytes.byteLength, openEvidence(bytes)))
      else
        log.error(
          { digest },
          `the evidence ${digest.slice(0, 12)} is damaged; it is left where it is and not given out`,
        )
    }
  } catch (error) {
    throw diskError(error, folder)
  }

  const oldestOf = (node: NodeId): Bundle | undefined =>
    [...known.values()]
      .filter(({ evidence }) => evidence.node === node)
      .sort((a, b) => a.evidence.at - b.evidence.at)[0]
  const countOf = (node: NodeId): number => [...known.values()].filter(({ evidence }) => evidence.node === node).length
  /** The oldest of its own node where that has too many, otherwise the oldest of whoever takes the most room. */
  const victim = (newcomer: NodeId): Bundle | undefined => {
    if (countOf(newcomer) > KEPT.ofNode) return oldestOf(newcomer)
    const total = [...known.values()].reduce((sum, { bytes }) => sum + bytes, 0)
    if (total <= KEPT.bytes) return undefined
    const nodes = [...new Set([...known.values()].map(({ evidence }) => evidence.node))]
    const most = nodes.sort((a, b) => countOf(b) - countOf(a))[0]
    return most === undefined ? undefined : oldestOf(most)
  }

  return {
    list: () => [...known.values()],
    has: digest => known.has(digest),
    async put(digest, bytes, evidence) {
      if (known.has(digest)) return []
      await writeDurably(pathOf(digest), bytes)
      known.set(digest, summary(digest, bytes.byteLength, evidence))
      const gone: Bundle[] = []
      for (let going = victim(evidence.node); going !== undefined; going = victim(evidence.node)) {
        known.delete(going.digest)
        gone.push(going)
        await rm(pathOf(going.digest), { force: true })
      }
      return gone
    },
    async get(digest) {
      if (!known.has(digest)) return undefined
      const bytes = await readFile(pathOf(digest)).catch(() => undefined)
      return bytes !== undefined && sha256(bytes) === digest ? bytes : undefined
    },
  }
}
