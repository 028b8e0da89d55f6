import { Packr } from 'msgpackr'
import { assertPlain } from '../../protocol/plain.ts'

/** A msgpack value as mutations see it: maps keep every key, whatever it is called, and numbers their size. */
export type Tree = null | boolean | number | bigint | string | Uint8Array | Tree[] | Map<Tree, Tree>

const packr = new Packr({ useRecords: false, mapsAsObjects: false, int64AsType: 'bigint' } as ConstructorParameters<
  typeof Packr
>[0])

/** Undefined when the bytes are no msgpack. */
export function parse(bytes: Uint8Array): Tree | undefined {
  try {
    assertPlain(bytes)
    return packr.decode(Uint8Array.from(bytes)) as Tree
  } catch {
    return undefined
  }
}

export const print = (tree: Tree): Uint8Array => Uint8Array.from(packr.encode(tree))
