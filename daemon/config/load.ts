import { readFileSync } from 'node:fs'
import { Command, CommanderError } from 'commander'
import type * as z from 'zod'
import { FleetError } from '../../protocol/index.ts'
import { readFile } from './file.ts'
import { type Config, configSchema, OPTIONS, type Option } from './options.ts'

export interface Loaded {
  readonly config: Config
  /** `--check-config`: say whether it is good, and do no more. */
  readonly checkOnly: boolean
}

/** Throws `bad-input` naming the flag, variable or file and line. Resolves with undefined after --help or --version was printed. */
export async function loadConfig(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  version: string,
): Promise<Loaded | undefined> {
  const program = new Command('fleetd')
    .description(
      'The daemon of a fleet that looks after itself: membership, image swarm and rolling self-replacement, with no server.',
    )
    .version(version)
    .option(
      '--config <file>',
      'YAML file with any of these settings and `layers`; later files win (repeatable)',
      collect,
      [],
    )
    .option('--check-config', 'check the configuration and exit')
    .allowExcessArguments(false)
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
  for (const { flags, help, kind } of OPTIONS) {
    if (kind === 'list' || kind === 'tags') program.option(flags, help, collect)
    else program.option(flags, help)
  }
  program.option('--no-mdns', 'do not look for peers on the LAN')
  program.addHelpText(
    'after',
    `
Examples:
  fleetd --init                        make a fleet of one; then: fleetctl invite
  fleetd --join fleet1.hKRp...         join with an invite
  fleetd --config /etc/fleetd.yaml     settings and layers from a file

Every flag is also a key of the file (--data-dir is dataDir) and a variable (FLEETD_DATA_DIR).
Signals: SIGINT leaves the fleet and stops; SIGTERM stops without leaving.`,
  )
  try {
    program.parse(argv as string[], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return undefined
    throw new FleetError('bad-input', `${error.message.replace(/^error: /, '')}; see fleetd --help`)
  }
  const {
    config: files,
    checkConfig,
    ...flags
  } = program.opts<{ config: string[]; checkConfig?: boolean } & Record<string, unknown>>()

  const layered: Record<string, unknown> = {}
  const origin = new Map<string, string>()
  const put = (key: string, value: unknown, from: string): void => {
    layered[key] = value
    origin.set(key, from)
  }
  for (const file of files) {
    const parsed = await readFile(file, path => readFileSync(path, 'utf8'))
    for (const [key, { value, line }] of parsed) put(key, value, `${file}:${line}`)
  }
  for (const option of OPTIONS) {
    const variable = `FLEETD_${option.key.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
    const text = env[variable]
    if (text !== undefined) put(option.key, fromText(option, text, variable), variable)
  }
  for (const option of OPTIONS) {
    const value = flags[option.key]
    // commander gives --no-mdns a default of true, which is no choice of the user's.
    if (value === undefined || (option.key === 'mdns' && program.getOptionValueSource('mdns') !== 'cli')) continue
    const flag = option.flags.split(' ')[0]!
    put(option.key, option.kind === 'tags' ? tags(value as string[], flag) : value, flag)
  }
  const result = configSchema.safeParse(layered)
  if (!result.success) throw new FleetError('bad-input', explain(result.error, origin))
  return { config: result.data, checkOnly: checkConfig === true }
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

function fromText(option: Option, text: string, from: string): unknown {
  switch (option.kind) {
    case 'text':
      return text
    case 'list':
      return text.split(',').map(part => part.trim())
    case 'tags':
      return tags(text.split(','), from)
    case 'switch':
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0') return false
      throw new FleetError('bad-input', `${from}: expected true or false, found ${JSON.stringify(text)}`)
    default:
      return option.kind satisfies never
  }
}

function tags(pairs: readonly string[], from: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals < 1) throw new FleetError('bad-input', `${from}: expected key=value, found ${JSON.stringify(pair)}`)
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}

function explain(error: z.ZodError, origin: ReadonlyMap<string, string>): string {
  const issue = error.issues[0]!
  const key = issue.path.map(String).join('.')
  const from = origin.get(String(issue.path[0]))
  return `${from === undefined ? '' : `${from}: `}${key}: ${issue.message}`
}
