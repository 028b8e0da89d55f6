import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import * as z from 'zod'
import { EXIT_CODES } from '../cli/program.ts'
import { OPTIONS, variableOf } from '../daemon/config/options.ts'
import { layerSchema } from '../daemon/drivers/config.ts'
import { servicesSchema } from '../daemon/services/config.ts'
import { ROUTES, type Route } from '../protocol/index.ts'
import { commands, globalFlags } from './commands.ts'
import { ROOT } from './project.ts'

/*
 * docs/reference.md, made from the tables that the programs themselves are made of: npm run reference writes it, and the lint says when it is old.
 */

export const FILE = resolve(ROOT, 'docs/reference.md')

/** The whole document. Throws when a key of the configuration has no meaning below. */
export function reference(): string {
  return [
    '# Reference',
    '',
    'Made from the code by `npm run reference`. Examples are in the other documents.',
    '',
    '## fleetd',
    '',
    '`fleetd [--config FILE]... [FLAGS]`. Each setting is a flag, a key of the file and a variable; a flag wins over a variable, a variable over a file.',
    ...Object.entries(OPTIONS).flatMap(([heading, options]) => [
      '',
      `### ${heading}`,
      '',
      ...table(
        ['flag', 'key', 'variable', 'meaning'],
        options.map(({ flags, key, help }) => [code(flags), code(key), code(variableOf(key)), help]),
      ),
    ]),
    '',
    '## What only the file has',
    '',
    'Lengths of time are texts such as `500ms`, `10s`, `5m`, `4h`, `30d`.',
    '',
    ...layers(),
    '',
    'A service has:',
    '',
    ...keysOf(
      'services.NAME',
      memberOf(z.toJSONSchema(servicesSchema, { io: 'input', unrepresentable: 'any' })),
      LEAST.service,
    ),
    '',
    '## fleetctl',
    '',
    'Every command takes these:',
    '',
    ...table(
      ['flag', 'meaning'],
      globalFlags().map(({ flags, help }) => [code(flags), help]),
    ),
    ...commands().flatMap(({ heading, commands }) => [
      '',
      `### ${heading}`,
      ...commands.flatMap(({ whole, summary, flags = [] }) => [
        '',
        `**\`fleetctl ${whole}\`** ${inCell(summary)}`,
        ...(flags.length === 0
          ? []
          : [
              '',
              ...table(
                ['flag', 'meaning'],
                flags.map(({ flags, help }) => [code(flags), help]),
              ),
            ]),
      ]),
    ]),
    '',
    '## Exit codes of fleetctl',
    '',
    ...table(['code', 'meaning'], Object.entries(EXIT_CODES)),
    '',
    '## The local API',
    '',
    'HTTP and JSON on the socket of `--api`. `GET /v1/openapi.json` describes what goes in and comes out; errors are problem documents (RFC 9457). A stream is one of',
    'Server-Sent Events. Beside these there are `/healthz`, `/readyz` and `/metrics` ([metrics.md](metrics.md)).',
    '',
    ...table(
      ['route', 'what', ''],
      Object.entries<Route>(ROUTES).map(([name, route]) => [
        code(name),
        route.summary,
        route.events !== undefined ? 'stream' : route.download === true ? 'bytes' : '',
      ]),
    ),
    '',
  ].join('\n')
}

/** What every driver takes, and then what each takes besides. */
function layers(): string[] {
  const drivers = (z.toJSONSchema(layerSchema, { io: 'input', unrepresentable: 'any' }) as Node).oneOf ?? []
  const [first, ...others] = drivers
  if (first === undefined) throw new Error('packaging/reference.ts finds no drivers')
  const isCommon = (key: string): boolean =>
    key !== 'driver' && others.every(({ properties }) => properties?.[key] !== undefined)
  const part = ({ properties = {}, ...schema }: Node, take: (key: string) => boolean): Node => ({
    ...schema,
    properties: Object.fromEntries(Object.entries(properties).filter(([key]) => take(key))),
  })
  return [
    'Every layer has:',
    '',
    ...keysOf('layers.NAME', part(first, isCommon), LEAST.layers.process),
    ...drivers.flatMap(driver => {
      const name = String(driver.properties?.driver?.const)
      return [
        '',
        `With the driver \`${name}\` ([drivers.md](drivers.md)):`,
        '',
        ...keysOf(
          'layers.NAME',
          part(driver, key => !isCommon(key)),
          LEAST.layers[name],
        ),
      ]
    }),
  ]
}

const CHECK = { name: 'it', tcp: '127.0.0.1:1' }
/** What is set where one sets no more than has to be: the defaults, as they are after parsing. */
const LEAST = {
  layers: Object.fromEntries(
    [
      { driver: 'process', command: ['it'] },
      { driver: 'service', unit: 'it.service' },
      { driver: 'exec', switch: 'it' },
      { driver: 'agent' },
    ].map(least => [least.driver, layerSchema.parse({ ...least, checks: [CHECK] })]),
  ),
  service: servicesSchema.parse({ it: { port: 1, checks: [CHECK] } }).it,
}

interface Node {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly minimum?: number
  readonly maximum?: number
  readonly properties?: Readonly<Record<string, Node>>
  readonly required?: readonly string[]
  readonly items?: Node
  readonly additionalProperties?: Node | boolean
  readonly oneOf?: readonly Node[]
  readonly anyOf?: readonly Node[]
}

/** What the keys of layers and services mean. A list's keys stand behind `[]`. */
const MEANINGS: Readonly<Record<string, string>> = {
  driver: 'how the layer is replaced',
  command: 'the program and its arguments, run inside the slot',
  env: "added to the daemon's own environment",
  'hooks.ready': 'shell, in the current slot: exit 0 yes, 75 busy, ask again later; otherwise no',
  'hooks.drain': 'shell, in the current slot, before the program is stopped',
  'hooks.undrain': 'shell, in the current slot: back in service after all; without it what runs is started afresh',
  'hooks.timeout': 'how long each hook may take',
  'checks[].name': 'its name in health and log',
  'checks[].http': 'URL: passes on a 2xx or 3xx answer',
  'checks[].tcp': 'HOST:PORT: passes when a connection is accepted',
  'checks[].exec': 'shell, in the slot: passes on exit 0',
  'checks[].interval': 'from the end of one look to the beginning of the next',
  'checks[].timeout': 'how long one look may take',
  'checks[].failures': 'so many failures in a row make it failing',
  'checks[].successes': 'so many successes in a row make it passing again',
  keep: 'slots besides the current one that stay for going back',
  'drift.every': 'how often the slot is compared with its image',
  'drift.ignore': 'paths in the slot that the program may write to',
  maxAge: 'after so long the slot is replaced by its image afresh',
  program: 'fleetd within the slot',
  patience: "how long a new fleetd has to prove itself before the launcher goes back, on top of the plan's `deadline`",
  prepare: 'shell, in the new slot while the host is still in service',
  switch: 'shell, in the slot that is to be current, under a permit and drained; may be run again',
  undo: 'the same on the way back; without it `switch` goes back too',
  health: 'shell, in the current slot, every second: passes on exit 0',
  unit: 'the systemd unit that runs the program in the slot',
  scope: 'of which manager the unit is',
  link: 'leads to the current slot; `current` in DATA_DIR/layers/NAME when it is left out',
  timeout: 'how long systemd may take to start or stop it',
  stopTimeout: 'how long the program has after SIGTERM before SIGKILL',
  port: 'where it is offered',
  protocol: 'how it is spoken to',
  layer: 'it is as well as this layer; leave it out for what no layer runs',
  weight: 'its share of the callers, beside other instances',
  drain: "how long nobody has been sent to it before its layer's program is stopped",
}

/** The keys of an object as a table, deeper ones by their path. */
function keysOf(prefix: string, schema: unknown, least: unknown): string[] {
  const rows: string[][] = []
  const walk = (path: string, node: Node, required: boolean, set: unknown): void => {
    if (node.properties !== undefined) {
      for (const [key, inner] of Object.entries(node.properties)) {
        const value = (set as Record<string, unknown> | undefined)?.[key]
        walk(path === '' ? key : `${path}.${key}`, inner, node.required?.includes(key) === true, value)
      }
      return
    }
    if (node.type === 'array' && node.items?.properties !== undefined)
      return walk(`${path}[]`, node.items, false, (set as unknown[] | undefined)?.[0])
    const meaning = MEANINGS[path]
    if (meaning === undefined) throw new Error(`packaging/reference.ts has no meaning for ${prefix}.${path}`)
    rows.push([
      code(`${prefix}.${path}`),
      kindOf(node),
      required ? 'none: it has to be there' : defaultOf(node, set),
      meaning,
    ])
  }
  walk('', schema as Node, false, least)
  return table(['key', 'value', 'default', 'meaning'], rows)
}

/** What each value of a record looks like. */
const memberOf = (schema: unknown): unknown => (schema as Node).additionalProperties

function kindOf({ type, const: only, enum: values, minimum, maximum, items, anyOf }: Node): string {
  if (anyOf?.some(({ properties }) => properties?.run !== undefined)) return 'text, or `run` and `timeout`'
  if (only !== undefined) return code(String(only))
  if (values !== undefined) return values.map(value => code(String(value))).join(', ')
  if (type === 'integer' || type === 'number') return `${minimum ?? ''} to ${maximum ?? ''}`
  if (type === 'array') return `list of ${items?.type ?? 'text'}s`
  return type === 'object' ? 'texts by name' : 'text'
}

function defaultOf({ type }: Node, value: unknown): string {
  if (value === undefined || value === CHECK.tcp) return ''
  // A text in the file that is a number afterwards is a length of time.
  if (typeof value === 'number' && type !== 'integer' && type !== 'number') return code(timeOf(value))
  return code(JSON.stringify(value))
}

/** Milliseconds as one would write them. */
function timeOf(milliseconds: number): string {
  const units = [
    [3_600_000, 'h'],
    [60_000, 'm'],
    [1_000, 's'],
  ] as const
  const unit = units.find(([length]) => milliseconds % length === 0)
  return unit === undefined ? `${milliseconds}ms` : `${milliseconds / unit[0]}${unit[1]}`
}

const table = (heads: readonly string[], rows: readonly (readonly string[])[]): string[] =>
  [heads, heads.map(() => '---'), ...rows].map(cells => `| ${cells.map(inCell).join(' | ')} |`)

/** A bar would end the cell, also within code; what stands in brackets is no HTML. */
const inCell = (text: string): string => text.replaceAll(/(?<!\\)\|/g, '\\|').replaceAll(/<(?=[^`]*$)/g, '&lt;')

const code = (text: string): string => `\`${text}\``

if (import.meta.filename === process.argv[1]) {
  if (!process.argv.includes('--check')) writeFileSync(FILE, reference())
  else if (readFileSync(FILE, 'utf8') !== reference()) {
    process.stderr.write('docs/reference.md is older than the code; run: npm run reference\n')
    process.exitCode = 1
  }
}
