import { isIP } from 'node:net'
import { homedir, hostname } from 'node:os'
import { join, resolve } from 'node:path'
import * as z from 'zod'
import { FleetError, isToken, LIMITS, recordSchema, toFleetError } from '../../protocol/index.ts'
import type { Amount, ByteBudget } from '../../rollout/index.ts'
import { duration, layerSchema } from '../drivers/index.ts'
import { type HandlerSpec, parseHandlerSpec } from '../handlers/spec.ts'
// Not through the folder's index: --help and --check-config need no libp2p.
import { endpointOf, parseAddress } from '../network/address.ts'
import { servicesSchema } from '../services/config.ts'

/** `text` as host and port, or undefined. */
function endpoint(text: string): { host: string; port: number } | undefined {
  try {
    return endpointOf(parseAddress(text))
  } catch (error) {
    if (error instanceof FleetError) return undefined
    throw error
  }
}

const peerAddress = z
  .string()
  .refine(text => endpoint(text) !== undefined, 'expected HOST:PORT, [IPV6]:PORT or /ip4/HOST/tcp/PORT')

const advertised = peerAddress.refine(text => {
  const found = endpoint(text)
  return found === undefined || (found.port !== 0 && found.host !== '0.0.0.0' && found.host !== '::')
}, 'expected an address that others can dial, with its port')

const joinTarget = z
  .string()
  .refine(
    text => isToken(text) || endpoint(text) !== undefined,
    'expected an invite token (fleet1....) or the HOST:PORT of a member',
  )

const isLoopback = (text: string): boolean => /^(localhost|127(\.\d{1,3}){3}|\[::1\]):\d+$/.test(text)
const isUnix = (text: string): boolean => text.startsWith('unix:')
const apiAddress = z
  .string()
  .refine(
    text => (isUnix(text) ? text.length > 'unix:'.length : endpoint(text) !== undefined && !text.startsWith('/')),
    'expected unix:PATH or HOST:PORT',
  )

/** Each has a token bucket of its own. */
const MAX_ZONE_LIMITS = 256
/** What is used of a budget is written down every so often, and a window has to be long beside that. Milliseconds. */
const SHORTEST_BUDGET = 60_000

/** Many handlers share few places to run in; who has more than this wants one script that looks at its environment. */
const MAX_HANDLERS = 64

const handlerSpec = z.string().transform((text, context): HandlerSpec => {
  try {
    return parseHandlerSpec(text)
  } catch (error) {
    context.addIssue({ code: 'custom', message: toFleetError(error).message })
    return z.NEVER
  }
})

const serfAddress = z
  .string()
  .refine(text => endpoint(text) !== undefined && !text.startsWith('/'), 'expected HOST:PORT or [IPV6]:PORT')

const dnsAddress = z
  .string()
  .refine(text => isIP(endpoint(text)?.host ?? '') !== 0 && !text.startsWith('/'), 'expected IP:PORT or [IPV6]:PORT')

const ociAddress = z
  .string()
  .refine(
    isLoopback,
    'expected HOST:PORT on loopback: whoever reaches the registry may push, and this version has neither TLS nor passwords for it',
  )

const fleetlockAddress = z
  .string()
  .refine(isLoopback, 'expected HOST:PORT on loopback: it speaks for this host alone, and asks for no password')

const webAddress = z
  .string()
  .refine(
    text => text === 'off' || isLoopback(text),
    'expected HOST:PORT on loopback, or off: the page asks for no password; from another host, reach it through ssh -L',
  )

const { name, class: nodeClass, zone, group, tags } = recordSchema.shape

/** What a node is labelled with when nobody says otherwise; an invite may then decide. */
export const DEFAULT_LABELS = { class: 'cloud', zone: 'default', group: 'default', tags: {} } as const

/** Where a daemon keeps its things when nobody says otherwise; `fleetctl` looks for it there. */
export const defaultDataDir = (): string =>
  process.getuid?.() === 0 ? '/var/lib/fleetd' : join(homedir(), '.local/share/fleetd')

/** The host's name, made to fit the schema of names. */
export function nameFromHost(host: string): string {
  const fit = host
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, LIMITS.name)
    .replace(/[^A-Za-z0-9]+$/, '')
  return fit === '' ? 'node' : fit
}

/** Bytes as `10GiB`, or a part of the disk as `20%`. */
const amount = (otherwise: string) =>
  z
    .string()
    .default(otherwise)
    .transform((text, context): Amount => {
      const share = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(text)
      if (share !== null && Number(share[1]) <= 100) return { share: Number(share[1]) / 100 }
      const bytes = bytesIn(text)
      if (bytes !== undefined) return { bytes }
      context.addIssue({ code: 'custom', message: 'expected a size such as 10GiB, or a part of the disk such as 20%' })
      return z.NEVER
    })
/** `10GiB` in bytes; undefined where it is no size. */
function bytesIn(text: string): number | undefined {
  const [, digits = '', unit = ''] = /^(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]*)$/.exec(text) ?? []
  const value = Math.round(Number(digits) * (BYTES[unit.toLowerCase()] ?? Number.NaN))
  return digits !== '' && value <= Number.MAX_SAFE_INTEGER ? value : undefined
}
const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
}

/** Bytes a second as `4MiB` or `4MiB/s`. */
const rate = z.string().transform((text, context): number => {
  const bytes = bytesIn(text.replace(/\/s$/, ''))
  if (bytes !== undefined && bytes >= LIMITS.lowestRate) return bytes
  context.addIssue({
    code: 'custom',
    message: `expected a size such as 4MiB for each second, at least ${LIMITS.lowestRate} bytes`,
  })
  return z.NEVER
})
const zoneRates = z
  .record(recordSchema.shape.zone, rate)
  .refine(zones => Object.keys(zones).length <= MAX_ZONE_LIMITS, `expected at most ${MAX_ZONE_LIMITS} zones`)
  .default({})

const budget = z.string().transform((text, context): ByteBudget => {
  const [size = '', time = ''] = text.split('/')
  const bytes = bytesIn(size)
  const window = duration.safeParse(time)
  if (bytes !== undefined && window.success && window.data >= SHORTEST_BUDGET) return { bytes, window: window.data }
  context.addIssue({ code: 'custom', message: 'expected a size and a time of at least a minute, such as 500MiB/24h' })
  return z.NEVER
})

/** Every setting, with its default. Lengths of time are milliseconds once parsed. */
export const configSchema = z.strictObject({
  dataDir: z
    .string()
    .min(1)
    .default(defaultDataDir)
    .transform(dir => resolve(dir)),
  name: name.default(() => nameFromHost(hostname())),
  listen: z.array(peerAddress).min(1).max(LIMITS.addresses).default(['0.0.0.0:7946', '[::]:7946']),
  advertise: z.array(advertised).max(LIMITS.addresses).default([]),
  init: z.boolean().default(false),
  operatorKey: z
    .string()
    .min(1)
    .default(() => join(homedir(), '.config/fleetctl/operator.key')),
  join: z.array(joinTarget).max(256).default([]),
  class: nodeClass.default(DEFAULT_LABELS.class),
  zone: zone.default(DEFAULT_LABELS.zone),
  group: group.default(DEFAULT_LABELS.group),
  tag: tags.default({}),
  mdns: z.boolean().default(true),
  lanOnly: z.boolean().default(false),
  relay: z.boolean().default(true),
  profile: z.enum(['lan', 'wan', 'local']).default('lan'),
  eventHandler: z
    .array(handlerSpec)
    .max(MAX_HANDLERS)
    .refine(
      specs => new Set(specs.map(({ text }) => text)).size === specs.length,
      'expected no event handler twice: its script would run twice for each event',
    )
    .default([]),
  handlerTimeout: duration.default(60_000),
  handlerConcurrency: z.number().int().min(1).max(64).default(8),
  api: z.array(apiAddress).min(1).max(16).optional(),
  apiTokenFile: z.string().min(1).optional(),
  apiCertFile: z.string().min(1).optional(),
  apiKeyFile: z.string().min(1).optional(),
  web: webAddress.optional(),
  serfRpc: serfAddress.optional(),
  serfRpcAuthFile: z.string().min(1).optional(),
  dns: dnsAddress.optional(),
  oci: ociAddress.optional(),
  fleetlock: fleetlockAddress.optional(),
  quota: amount('20%'),
  minFree: amount('3%'),
  uploadLimit: rate.optional(),
  downloadLimit: rate.optional(),
  zoneUploadLimit: zoneRates,
  zoneDownloadLimit: zoneRates,
  zoneBudget: budget.optional(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  logFormat: z.enum(['json', 'pretty']).default(() => (process.stderr.isTTY ? 'pretty' : 'json')),
  layers: z
    .record(name, layerSchema)
    .refine(layers => Object.keys(layers).length <= LIMITS.layers, `expected at most ${LIMITS.layers} layers`)
    .default({}),
  services: servicesSchema.default({}),
})

/** The whole configuration, as it is after flags, environment and files have been put together. */
export type Config = Omit<z.infer<typeof configSchema>, 'api'> & {
  /** `unix:PATH` or `HOST:PORT`; never empty. With `apiTokenFile` the latter speak TLS; without it they are on loopback. */
  readonly api: readonly string[]
}

/** Turns checked settings into the configuration. Throws a ZodError on what is wrong with them, and `bad-input` on what does not go together. */
export function complete(settings: Readonly<Record<string, unknown>>): Config {
  const { api, ...config } = configSchema.parse(settings)
  const open = config.apiTokenFile === undefined && api?.find(address => !isUnix(address) && !isLoopback(address))
  if (open)
    throw new FleetError(
      'bad-input',
      `api: ${open} can be reached from other hosts, and whoever reaches it commands this daemon; give a token with --api-token-file FILE (made by: (umask 077; openssl rand -hex 32 > FILE)), which brings TLS with it, or use loopback or unix:PATH`,
    )
  if ((config.apiCertFile === undefined) !== (config.apiKeyFile === undefined))
    throw new FleetError(
      'bad-input',
      'apiCertFile and apiKeyFile belong together: give both, or neither to have them made',
    )
  if (config.apiCertFile !== undefined && config.apiTokenFile === undefined)
    throw new FleetError('bad-input', 'apiCertFile is for addresses with a token; give one with --api-token-file')
  if (config.serfRpc !== undefined && config.serfRpcAuthFile === undefined && !isLoopback(config.serfRpc))
    throw new FleetError(
      'bad-input',
      `serfRpc: ${config.serfRpc} can be reached from other hosts, and whoever reaches it commands this daemon; give a token with --serf-rpc-auth-file, or use loopback`,
    )
  for (const [service, { layer }] of Object.entries(config.services))
    if (layer !== undefined && config.layers[layer] === undefined)
      throw new FleetError(
        'bad-input',
        `services.${service}.layer: this host has no layer ${JSON.stringify(layer)}; its layers are ${Object.keys(config.layers).join(', ') || 'none'}`,
      )
  return { ...config, api: api ?? [`unix:${join(config.dataDir, 'fleetd.sock')}`] }
}
