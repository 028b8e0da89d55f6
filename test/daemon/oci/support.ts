import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createImages, type Images } from '../../../daemon/images/index.ts'
import { createMemoryHub, type MemoryHub, type Network } from '../../../daemon/network/index.ts'
import { createRegistry, type Registry } from '../../../daemon/oci/index.ts'
import { UPLOAD_LIMITS, type UploadLimits } from '../../../daemon/oci/uploads.ts'
import { createKeeper, createPushes, type Keeper, type Pushes } from '../../../daemon/pushes/index.ts'
import { dispatchEvents } from '../../../daemon/topic-events.ts'
import {
  type Authority,
  assertMayPush,
  millis,
  type NodeId,
  type Policy,
  seededRandom,
  sign,
} from '../../../protocol/index.ts'
import { type ImageStore, openStore } from '../../../rollout/index.ts'
import { fleet, node as newNode, type TestFleet } from '../../protocol/fleet.ts'
import { unthrottled } from '../images/support.ts'
import { admissionOf, quiet } from '../network/support.ts'

/** Nodes with a registry each, over the network in memory and real directories. */
export interface RegistryWorld {
  readonly hub: MemoryHub
  readonly of: TestFleet
  readonly nodes: readonly RegistryNode[]
  /** Looks again who is to keep what. */
  settle(): void
  /** From now on this node is not there any more. */
  kill(node: RegistryNode): void
  /** The fleet has other rules, or other members, from now on. */
  changeAuthority(authority: Authority): void
  close(): Promise<void>
}

export interface RegistryNode {
  readonly id: NodeId
  readonly key: ReturnType<typeof newNode>['key']
  readonly certificate: Uint8Array
  readonly network: Network
  readonly store: ImageStore
  readonly images: Images
  readonly pushes: Pushes
  readonly keeper: Keeper
  readonly registry: Registry
}

export async function registryWorld(
  count: number,
  options: { policy?: Partial<Policy>; limits?: Partial<UploadLimits>; copies?: boolean } = {},
): Promise<RegistryWorld> {
  const dir = await mkdtemp(join(tmpdir(), 'fleetd-oci-'))
  const hub = createMemoryHub()
  const of = fleet(undefined, options.policy)
  let authority = of.authority
  const now = () => millis(Math.max(Date.now(), Date.UTC(2030, 0, 1)))
  const alive = new Set<NodeId>()
  const nodes: RegistryNode[] = []

  for (let index = 0; index < count; index++) {
    const { key, id, certificate } = newNode(of)
    const network = hub.createNetwork({ key, admission: admissionOf(key, 'fleet') })
    const values = new Map<string, Uint8Array>()
    const db = {
      get: async (name: string) => values.get(name),
      put: async (name: string, value: Uint8Array) => void values.set(name, value),
      del: async (name: string) => void values.delete(name),
      list: async (prefix: string) =>
        [...values]
          .filter(([name]) => name.startsWith(prefix))
          .map(([name, value]): [string, Uint8Array] => [name.slice(prefix.length), value]),
    }
    const random = seededRandom(index + 1)
    const directory = join(dir, String(index))
    const store = await openStore(directory, db)
    const images: Images = createImages({
      store,
      network,
      throttle: { up: unthrottled, down: unthrottled },
      isNear: () => true,
      now,
      random,
      log: quiet,
      providers: image => keeper.holders(image).filter(holder => holder !== id && alive.has(holder)),
      endorsed: () => false,
      vouched: image => pushes.naming(image).length > 0,
      onHoldings: () => undefined,
      during: (_image, work) => work(),
    })
    const pushes: Pushes = await createPushes({
      network,
      trust: {
        authority: () => authority,
        demand: () => authority,
        sign: (kind, body) => sign(kind, of.id, now(), body, [key]),
        credentials: () => ({ fleet: of.id, certificate }),
      },
      db,
      now,
      random,
      log: quiet,
      onChange: () => keeper.consider(),
    })
    const keeper: Keeper = createKeeper({
      self: id,
      pushes,
      images,
      candidates: () => (options.copies === false ? [] : [...alive]),
      now,
      log: quiet,
    })
    const registry = await createRegistry({
      directory,
      store,
      images,
      pushes,
      assertMayPush: () => assertMayPush(authority, id),
      limits: { ...UPLOAD_LIMITS, ...options.limits },
      log: quiet,
    })
    await network.start({
      linkUp: pushes.linkUp,
      linkDown: () => undefined,
      frame: () => undefined,
      heard: () => undefined,
      discovered: () => undefined,
      gossip: (_topic, message) => dispatchEvents(message, { push: pushes.gossip }),
    })
    alive.add(id)
    nodes.push({ id, key, certificate, network, store, images, pushes, keeper, registry })
  }
  for (const [index, { network }] of nodes.entries())
    for (const other of nodes.slice(0, index))
      await network.connect(other.id, other.network.addresses(), AbortSignal.timeout(5_000))

  return {
    hub,
    of,
    nodes,
    settle() {
      for (const node of nodes) if (alive.has(node.id)) node.keeper.consider()
    },
    kill(node) {
      alive.delete(node.id)
      hub.kill(node.id)
    },
    changeAuthority(next) {
      authority = next
    },
    async close() {
      for (const node of nodes) {
        await node.registry.close()
        await node.keeper.stop()
        await node.pushes.stop()
        await node.images.stop()
        if (alive.has(node.id)) await node.network.stop()
      }
      // A chunk that came last may still be on its way to the disk.
      await rm(dir, { recursive: true, force: true, maxRetries: 10 })
    },
  }
}

export const digestOf = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** A request as a client of a registry makes it. */
export async function ask(
  node: Pick<RegistryNode, 'registry'>,
  method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  options: { body?: Uint8Array | string; headers?: Record<string, string> } = {},
) {
  const { statusCode, headers, rawPayload } = await node.registry.app.inject({
    method,
    url,
    headers: options.headers ?? {},
    ...(options.body === undefined
      ? {}
      : { payload: typeof options.body === 'string' ? options.body : Buffer.from(options.body) }),
  })
  const text = rawPayload.toString()
  return {
    status: statusCode,
    headers: headers as Record<string, string | undefined>,
    bytes: rawPayload as Uint8Array,
    json: () => JSON.parse(text),
    /** The code of the first error. */
    code: (): string | undefined => (JSON.parse(text) as { errors?: { code: string }[] }).errors?.[0]?.code,
  }
}

export async function pushBlob(node: RegistryNode, repository: string, bytes: Uint8Array): Promise<string> {
  const digest = digestOf(bytes)
  const { status, bytes: answer } = await ask(node, 'POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, {
    body: bytes,
    headers: { 'content-type': 'application/octet-stream' },
  })
  if (status !== 201) throw new Error(`a blob was answered with ${status}: ${Buffer.from(answer)}`)
  return digest
}

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json'

export interface TestImage {
  readonly config: Uint8Array
  readonly layers: readonly Uint8Array[]
  readonly manifest: Uint8Array
  readonly digest: string
}

/** A container image with layers of random bytes. */
export function testImage(sizes: readonly number[], extra: Record<string, unknown> = {}): TestImage {
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', salt: randomBytes(8).toString('hex') }),
  )
  const layers = sizes.map(size => randomBytes(size))
  const describe = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.byteLength,
  })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: describe('application/vnd.oci.image.config.v1+json', config),
      layers: layers.map(layer => describe('application/vnd.oci.image.layer.v1.tar', layer)),
      ...extra,
    }),
  )
  return { config, layers, manifest, digest: digestOf(manifest) }
}

export const putManifest = (
  node: RegistryNode,
  repository: string,
  reference: string,
  manifest: Uint8Array,
  type = OCI_MANIFEST,
) => ask(node, 'PUT', `/v2/${repository}/manifests/${reference}`, { body: manifest, headers: { 'content-type': type } })

/** Pushes blobs and manifest, as a client does. */
export async function pushImage(node: RegistryNode, repository: string, tag: string, image: TestImage): Promise<void> {
  for (const blob of [image.config, ...image.layers]) await pushBlob(node, repository, blob)
  const { status, bytes } = await putManifest(node, repository, tag, image.manifest)
  if (status !== 201) throw new Error(`the manifest was answered with ${status}: ${Buffer.from(bytes)}`)
}
