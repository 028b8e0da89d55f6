import { join } from 'node:path'
import type { Logger } from 'pino'
import { assertMayPush, type Random } from '../../protocol/index.ts'
import { type Access, type Api, createApi, openAccess } from '../api/index.ts'
import type { Audit } from '../audit/index.ts'
import type { Dns } from '../dns/index.ts'
import type { Fleetd } from '../fleetd.ts'
import type { FleetLock } from '../fleetlock/index.ts'
import { createMetrics } from '../metrics.ts'
import { endpointOf, parseAddress } from '../network/index.ts'
import type { Registry } from '../oci/index.ts'
import type { Pushes } from '../pushes/index.ts'
import { serveSerf } from '../serf.ts'
import { createService } from '../service/index.ts'
import { startTidying } from '../tidy.ts'
import { serveWeb } from '../web/index.ts'

/** Where clients on this host, and those whom the operator lets in, find the daemon. */
export interface Doors {
  /** Addresses of the API. */
  api(): readonly string[]
  /** SHA-256 of the certificate that clients over TLS are shown; undefined where it is not served so. */
  apiFingerprint(): string | undefined
  /** `HOST:PORT` of the web page; undefined where there is none. */
  web(): string | undefined
  close(): Promise<void>
}

export interface DoorsInit {
  /** `[type[,type][:name]=]script`, as they are configured now. */
  eventHandlers(): readonly string[]
  readonly random: Random
  readonly log: Logger
}

/** Opens every door that the configuration names. Throws `unavailable` where an address cannot be had. */
export async function openDoors(fleetd: Fleetd, { eventHandlers, random, log }: DoorsInit): Promise<Doors> {
  const { config, dataDir } = fleetd
  const service = createService(fleetd)
  const tidy = startTidying(globalThis.gc)
  const addresses = config.api ?? [`unix:${join(dataDir.path, 'fleetd.sock')}`]
  const access = await accessOf(fleetd, addresses)
  const api: Api = createApi({ service, log, metrics: createMetrics(fleetd, tidy), access })
  for (const address of addresses) await api.listen(address)
  const web = await serveWeb({ address: config.web, api, log })
  const serf = await serveSerf({ fleetd, service, eventHandlers }, log)
  const dns = await serveDns(fleetd, random, log)
  const registry = await serveRegistry(fleetd, log)
  const fleetlock = await serveFleetLock(fleetd, log)
  return {
    api: api.addresses,
    apiFingerprint: () => access?.identity.fingerprint,
    web: () => web?.address,
    async close() {
      await web?.close()
      await api.close()
      tidy.stop()
      await serf?.close()
      await fleetlock?.close()
      await registry?.close()
      await dns?.close()
    },
  }
}

/** `--api-token-file`: what clients over TCP are let in by. Undefined where nobody asked for it, or there is no TCP address. */
async function accessOf({ config, dataDir, now }: Fleetd, addresses: readonly string[]): Promise<Access | undefined> {
  const tcp = addresses.filter(address => !address.startsWith('unix:'))
  if (config.apiTokenFile === undefined || tcp.length === 0) return undefined
  const hosts = [...tcp, ...config.advertise].map(address => endpointOf(parseAddress(address)).host)
  return openAccess({
    tokenFile: config.apiTokenFile,
    certFile: config.apiCertFile,
    keyFile: config.apiKeyFile,
    directory: dataDir.path,
    names: [config.name, ...hosts.filter(host => host !== '0.0.0.0' && host !== '::')],
    now,
  })
}

/** `--dns`: answers questions of DNS. Undefined where nobody asked for it. */
async function serveDns({ config, members, now }: Fleetd, random: Random, log: Logger): Promise<Dns | undefined> {
  if (config.dns === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createDns } = await import('../dns/index.ts')
  const dns = await createDns({ address: config.dns, members: () => members()?.members() ?? [], now, random, log })
  log.info({ address: dns.address }, `DNS is served on ${dns.address}`)
  return dns
}

/** `--oci`: serves clients of registries. Undefined where nobody asked for it. */
async function serveRegistry(fleetd: Fleetd, log: Logger): Promise<Registry | undefined> {
  const { config, store, images, pushes, trust, audit, dataDir } = fleetd
  if (config.oci === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createRegistry } = await import('../oci/index.ts')
  const registry = await createRegistry({
    store,
    images,
    pushes: notingPushes(pushes, audit),
    directory: dataDir.path,
    log,
    assertMayPush: () => assertMayPush(trust.demand(), trust.self),
  })
  const address = await registry.listen(config.oci)
  log.info({ address }, `a registry for container images is at ${address}`)
  return registry
}

/** `--fleetlock`: serves who asks before it restarts this host. Undefined where nobody asked for it. */
async function serveFleetLock(fleetd: Fleetd, log: Logger): Promise<FleetLock | undefined> {
  const { config, reboots, labels } = fleetd
  if (config.fleetlock === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createFleetLock } = await import('../fleetlock/index.ts')
  const fleetlock = await createFleetLock({ reboots, group: () => labels().group, log })
  const address = await fleetlock.listen(config.fleetlock)
  log.info({ address }, `FleetLock is served at http://${address}`)
  return fleetlock
}

/** What is pushed to this node's registry is told to its audit log. */
const notingPushes = (pushes: Pushes, audit: Audit): Pushes => ({
  ...pushes,
  async publish(push) {
    await pushes.publish(push)
    const { repository, reference, pushed } = push
    audit.note({
      kind: pushed === null ? 'image-removed' : 'image-added',
      subject: `${repository}:${reference}`,
      by: 'a client of the registry',
      text: `${repository}:${reference} was ${pushed === null ? 'deleted from' : 'pushed to'} the fleet's registries here`,
      detail: pushed === null ? {} : { image: pushed.image },
    })
  },
})
