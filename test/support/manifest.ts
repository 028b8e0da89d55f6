import { type ChunkRef, encodeIndex, type Manifest, sha256 } from '../../protocol/index.ts'

/** The manifest of an image of these chunks that has nothing special about it, but for what `change` says. */
export function manifestOf(index: readonly ChunkRef[], change: Partial<Manifest> = {}): Manifest {
  return {
    format: 1,
    name: 'shop',
    version: 'v1',
    kind: 'file',
    size: index.reduce((sum, { length }) => sum + length, 0),
    chunks: index.length,
    index: sha256(encodeIndex(index)),
    labels: {},
    provenance: {},
    requires: {},
    barrier: false,
    reversible: true,
    ...change,
  }
}
