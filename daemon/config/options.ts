import { homedir, hostname } from 'node:os'
import { join } from 'node:path'
import * as z from 'zod'
import { layerSchema } from '../drivers/index.ts'

const label = z
  .string()
  .regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/, 'expected letters, digits, dot, dash or underscore')
const hostPort = z.string().regex(/^(\[[0-9a-fA-F:.%]+\]|[^:[\]/]+):\d{1,5}$/, 'expected HOST:PORT, or [IPV6]:PORT')
const api = z
  .string()
  .refine(text => text.startsWith('unix:') || hostPort.safeParse(text).success, 'expected unix:PATH or HOST:PORT')
  .refine(
    text => text.startsWith('unix:') || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]):/.test(text),
    'a TCP address other than loopback needs TLS and a token, which this version does not have; listen on loopback or on a unix socket',
  )

/** The whole configuration, as it is after flags, environment and files have been put together. */
export const configSchema = z.strictObject({
  dataDir: z
    .string()
    .min(1)
    .default(process.getuid?.() === 0 ? '/var/lib/fleetd' : join(homedir(), '.local/share/fleetd')),
  name: label.default(hostname().replace(/[^A-Za-z0-9._-]/g, '-') || 'node'),
  listen: z.array(hostPort).min(1).default(['0.0.0.0:7946', '[::]:7946']),
  advertise: z.array(hostPort).default([]),
  init: z.boolean().default(false),
  operatorKey: z.string().min(1).default(join(homedir(), '.config/fleetctl/operator.key')),
  join: z.array(z.string().min(1)).default([]),
  class: z.enum(['cloud', 'physical', 'intermittent']).default('cloud'),
  zone: label.default('default'),
  group: label.default('default'),
  tag: z.record(z.string(), z.string()).default({}),
  mdns: z.boolean().default(true),
  lanOnly: z.boolean().default(false),
  profile: z.enum(['lan', 'wan', 'local']).default('lan'),
  api: z.array(api).optional(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  logFormat: z.enum(['json', 'pretty']).default(process.stderr.isTTY ? 'pretty' : 'json'),
  layers: z.record(label, layerSchema).default({}),
})
export type Config = z.infer<typeof configSchema>

/** One flag of the command line. Its key in a file is its name in camelCase, its variable FLEETD_NAME in capitals. */
export interface Option {
  readonly key: Exclude<keyof Config, 'layers'>
  readonly flags: string
  readonly help: string
  readonly kind: 'text' | 'list' | 'switch' | 'tags'
}

export const OPTIONS: readonly Option[] = [
  {
    key: 'dataDir',
    flags: '--data-dir <dir>',
    kind: 'text',
    help: 'everything the daemon keeps; locked against a second daemon',
  },
  { key: 'name', flags: '--name <name>', kind: 'text', help: 'label of this node (default: the host name)' },
  {
    key: 'listen',
    flags: '--listen <host:port>',
    kind: 'list',
    help: 'where peers reach it; port 0 picks one (repeatable)',
  },
  {
    key: 'advertise',
    flags: '--advertise <host:port>',
    kind: 'list',
    help: 'what others are told to dial, where it is not what is listened on (repeatable)',
  },
  { key: 'init', flags: '--init', kind: 'switch', help: 'make a fleet when the data directory belongs to none' },
  {
    key: 'operatorKey',
    flags: '--operator-key <file>',
    kind: 'text',
    help: "the operator's key file, made when it is absent; only used with --init",
  },
  {
    key: 'join',
    flags: '--join <token|host:port>',
    kind: 'list',
    help: 'invite on the first start, address on later ones; retried for ever (repeatable)',
  },
  { key: 'class', flags: '--class <class>', kind: 'text', help: 'cloud, physical or intermittent' },
  { key: 'zone', flags: '--zone <zone>', kind: 'text', help: 'failure and cost domain: rack, site, ship' },
  { key: 'group', flags: '--group <group>', kind: 'text', help: 'nodes that share one disruption budget' },
  { key: 'tag', flags: '--tag <k=v>', kind: 'tags', help: 'free label (repeatable)' },
  {
    key: 'mdns',
    flags: '--mdns',
    kind: 'switch',
    help: 'find peers of the same fleet on the LAN (default; --no-mdns turns it off)',
  },
  { key: 'lanOnly', flags: '--lan-only', kind: 'switch', help: 'never dial, accept or advertise a public address' },
  { key: 'profile', flags: '--profile <profile>', kind: 'text', help: 'timing: lan, wan or local' },
  {
    key: 'api',
    flags: '--api <addr>',
    kind: 'list',
    help: 'where fleetctl reaches it: unix:PATH or HOST:PORT on loopback (default: unix:DATA_DIR/fleetd.sock)',
  },
  { key: 'logLevel', flags: '--log-level <level>', kind: 'text', help: 'trace, debug, info, warn or error' },
  {
    key: 'logFormat',
    flags: '--log-format <format>',
    kind: 'text',
    help: 'json or pretty (default: pretty on a terminal)',
  },
]
