import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Digest, seededRandom } from '../../../protocol/index.ts'
import { type Built, buildImage, type ImageStore, type Metadata } from '../../../rollout/index.ts'

/** Metadata in memory that remembers what was done to it, in order. */
export interface MemoryMetadata extends Metadata {
  readonly values: Map<string, Uint8Array>
  /** Names of the values that were removed, in order. */
  readonly removed: string[]
}

export function memoryMetadata(values = new Map<string, Uint8Array>()): MemoryMetadata {
  const removed: string[] = []
  return {
    values,
    removed,
    get: async name => values.get(name),
    put: async (name, value) => void values.set(name, value),
    del: async name => {
      removed.push(name)
      values.delete(name)
    },
    list: async prefix =>
      [...values]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, value]): [string, Uint8Array] => [name.slice(prefix.length), value]),
  }
}

export interface Scratch {
  readonly dir: string
  close(): Promise<void>
}

export async function scratch(): Promise<Scratch> {
  const dir = await mkdtemp(join(tmpdir(), 'fleetd-store-'))
  return { dir, close: () => rm(dir, { recursive: true, force: true }) }
}

/** The same bytes for the same seed. */
export function noise(size: number, seed: number): Buffer {
  const random = seededRandom(seed)
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeInt32LE(random.int(2 ** 31 - 1), at)
  return bytes
}

let files = 0
export async function imageOf(store: ImageStore, dir: string, name: string, content: Uint8Array): Promise<Built> {
  const path = join(dir, `content-${files++}`)
  await writeFile(path, content)
  const request = { path, name, version: 'v1', kind: 'file', labels: {}, provenance: {} } as const
  return buildImage(store, request, { signal: new AbortController().signal })
}

/** True when every chunk of the image is here, and is what its name says. */
export async function isWhole(store: ImageStore, digest: Digest): Promise<boolean> {
  const image = store.image(digest)
  if (image === undefined) return false
  for (const ref of image.index) if ((await store.get(ref.digest)) === undefined) return false
  return true
}
