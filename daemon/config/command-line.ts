import { Command, CommanderError, Option } from 'commander'
import { FleetError } from '../../protocol/index.ts'
import { parseNumber, parseTags } from './environment.ts'
import { ALL_OPTIONS, flagOf, OPTIONS } from './options.ts'
import type { Source } from './source.ts'

export interface CommandLine {
  readonly source: Source
  readonly files: readonly string[]
  readonly checkOnly: boolean
}

/** Throws `bad-input` naming the flag. Undefined after --help or --version was printed. */
export function fromCommandLine(argv: readonly string[], version: string): CommandLine | undefined {
  const program = command(version)
  try {
    program.parse([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.exitCode === 0) return undefined
    const message = error.message.replace(/^error: /, '').replace(/\s*\n\s*/g, ' ')
    throw new FleetError('bad-input', `${message}; "fleetd --help" lists what there is`)
  }
  const { config, checkConfig, ...flags } = program.opts<Record<string, unknown>>()
  const values: Record<string, unknown> = { ...flags }
  for (const { kind, key } of ALL_OPTIONS)
    if (kind === 'tags' && values[key] !== undefined) values[key] = parseTags(values[key] as string[], flagOf(key))
  for (const { key, kind } of ALL_OPTIONS)
    if (kind === 'number' && values[key] !== undefined) values[key] = parseNumber(String(values[key]), flagOf(key))
  return {
    source: { values, named: true, where: (path, key) => flagOf(key ?? String(path[0])) },
    files: (config as string[] | undefined) ?? [],
    checkOnly: checkConfig === true,
  }
}

function command(version: string): Command {
  const program = new Command('fleetd')
    .description(
      'The daemon of a fleet that looks after itself: it keeps track of who is in the fleet and how they are, passes\n' +
        'images from host to host, and replaces what this host runs, a few hosts at a time, with no server.',
    )
    .usage('[--config FILE]... [FLAGS]')
    .allowExcessArguments(false)
    .configureHelp({ helpWidth: 110 })
    .configureOutput({ writeErr: () => undefined })
    .exitOverride()
    .optionsGroup('Configuration:')
    .option(
      '--config <file>',
      'YAML file with any of these settings and `layers`; later ones win (repeatable)',
      collect,
    )
    .option('--check-config', 'check the configuration, say what is wrong with it, and exit')
    .version(version, '--version', 'print the version and exit')
    .helpOption('--help', 'print this and exit')
  for (const [heading, options] of Object.entries(OPTIONS)) {
    program.optionsGroup(`${heading}:`)
    for (const { flags, help, kind } of options) {
      if (kind === 'list' || kind === 'lines' || kind === 'tags') program.option(flags, help, collect)
      else program.addOption(new Option(flags, help).default(undefined))
    }
  }
  return program.addHelpText('after', EXAMPLES)
}

function collect(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value]
}

/** Stands below the flags in --help, and in the man page. */
export const EXAMPLES = `
Examples:
  fleetd --init                               make a fleet of one; then, for a second host: fleetctl invite
  fleetd --join fleet1.hKRp... --group web    become a member with an invite
  fleetd --config /etc/fleetd.yaml            settings and layers from a file
  fleetd --config site.yaml --check-config    see whether it is good
  fleetd --event-handler user:deploy=/usr/local/bin/deploy --event-handler 'query:uptime=uptime'
                                              run a script for each such event, answer each such query

Every flag is also a key of the file (--data-dir is dataDir) and a variable (FLEETD_DATA_DIR; lists with commas, event handlers on lines of their own).
A flag wins over a variable, a variable over a file, a later file over an earlier one; a list is replaced whole.
What runs on this host stands in the file alone:

  layers:
    app:
      driver: process
      command: ["node", "server.js"]
      checks: [{ name: http, http: "http://127.0.0.1:8080/healthz" }]

SIGINT leaves the fleet and stops; SIGTERM stops without leaving; a second signal stops at once.
SIGHUP reads the files again: event handlers, tags, --quota, --min-free, the limits of chunks on the network and the log level change at once, all else at the next start.
SIGUSR2 has the garbage collected; /metrics says what was left.`
