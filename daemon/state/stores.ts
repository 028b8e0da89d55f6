import { join } from 'node:path'
import * as z from 'zod'
import { type Address, type Digest, decode, encode, LIMITS, type NodeId, parseNodeId } from '../../protocol/index.ts'
import { damaged, type Files } from './files.ts'

/** This node's place in its fleet. */
export interface FleetState {
  /** The policies, from policy 1 on, as signed. */
  readonly chain: readonly Uint8Array[]
  /** The CERTIFICATE envelope, which carries the invite that it hangs from. */
  readonly certificate: Uint8Array
}

/** What a daemon keeps beyond its key, in the forms that its parts use. Every promise resolves once the disk has it. */
export interface Stores {
  readonly fleet: {
    /** Undefined while the node belongs to no fleet. */
    load(): Promise<FleetState | undefined>
    save(fleet: FleetState): Promise<void>
  }
  /** A set that only grows. */
  readonly revocations: {
    load(): Promise<readonly Uint8Array[]>
    /** Adds those that are not there yet. */
    add(envelopes: readonly Uint8Array[]): Promise<void>
  }
  /** Where others were last reached: what a restart during an outage starts from. */
  readonly peers: {
    load(): Promise<readonly (readonly [NodeId, readonly Address[]])[]>
    save(peers: readonly (readonly [NodeId, readonly Address[]])[]): Promise<void>
  }
  /** Plans, orders and what else is signed and passed on. */
  readonly documents: {
    load(): Promise<readonly Uint8Array[]>
    /** Idempotent: what was added first under `id` stays. */
    add(id: Digest, document: Uint8Array): Promise<void>
  }
  /** The state of the voter that this node is, by group. There is no way to forget one. */
  readonly ledger: {
    load(group: string): Promise<Uint8Array | undefined>
    groups(): Promise<readonly string[]>
    save(group: string, state: Uint8Array): Promise<void>
  }
  /** What a layer's replacement has bound itself to, by layer. */
  readonly intent: {
    load(layer: string): Promise<Uint8Array | undefined>
    /** Null: nothing any more. */
    save(layer: string, intent: Uint8Array | null): Promise<void>
  }
}

export const FOLDERS = ['documents', 'ledger', 'intent'] as const

const envelope = (max: number) =>
  z
    .custom<Uint8Array>(value => value instanceof Uint8Array && value.byteLength <= max)
    .transform(bytes => Uint8Array.from(bytes))
const fleetSchema = z.tuple([z.array(envelope(LIMITS.policy)).min(1), envelope(LIMITS.certificate)])
const revocationsSchema = z.array(envelope(LIMITS.revocation))
const peersSchema = z.array(
  z.tuple([z.string().transform(text => parseNodeId(text)), z.array(z.string().transform(text => text as Address))]),
)

/** `root` is only for messages. */
export function createStores(files: Files, root: string): Stores {
  /** What a file holds, checked. Throws `corrupt`. */
  const load = async <T>(name: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    const bytes = await files.readFile(name)
    if (bytes === undefined) return undefined
    try {
      return schema.parse(decode(bytes, Number.MAX_SAFE_INTEGER))
    } catch {
      throw damaged(name, join(root, name))
    }
  }
  let adding: Promise<void> = Promise.resolve()

  return {
    fleet: {
      async load() {
        const found = await load('fleet', fleetSchema)
        return found === undefined ? undefined : { chain: found[0], certificate: found[1] }
      },
      save: ({ chain, certificate }) => files.writeDurably('fleet', encode([chain, certificate])),
    },
    revocations: {
      load: async () => (await load('revocations', revocationsSchema)) ?? [],
      add(envelopes) {
        // One after another: each starts from what the one before has written.
        const mine = adding.then(async () => {
          const all: Uint8Array[] = [...((await load('revocations', revocationsSchema)) ?? [])]
          const before = all.length
          for (const bytes of envelopes) if (!all.some(known => Buffer.compare(known, bytes) === 0)) all.push(bytes)
          if (all.length > before) await files.writeDurably('revocations', encode(all))
        })
        adding = mine.catch(() => undefined)
        return mine
      },
    },
    peers: {
      load: async () => (await load('peers', peersSchema)) ?? [],
      save: peers => files.writeDurably('peers', encode(peers)),
    },
    documents: {
      async load() {
        const found: Uint8Array[] = []
        for (const name of await files.names('documents')) {
          const bytes = await files.readFile(`documents/${name}`)
          if (bytes !== undefined) found.push(bytes)
        }
        return found
      },
      async add(id, document) {
        if ((await files.readFile(`documents/${id}`)) === undefined)
          await files.writeDurably(`documents/${id}`, document)
      },
    },
    ledger: {
      load: group => files.readFile(`ledger/${group}`),
      groups: () => files.names('ledger'),
      save: (group, state) => files.writeDurably(`ledger/${group}`, state),
    },
    intent: {
      load: layer => files.readFile(`intent/${layer}`),
      save: (layer, intent) =>
        intent === null ? files.remove(`intent/${layer}`) : files.writeDurably(`intent/${layer}`, intent),
    },
  }
}
