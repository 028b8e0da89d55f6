import { Command, Option } from 'commander'
import { FLEET } from './commands/fleet.ts'
import { IMAGE } from './commands/image.ts'
import { AUDIT, EVIDENCE, HOTFIX, KEEP } from './commands/keep.ts'
import { COMPLETION, KEY, LEDGER, NODE, POLICY } from './commands/other.ts'
import { QUERIES } from './commands/queries.ts'
import { ROLLOUT } from './commands/rollout.ts'
import type { GlobalOptions } from './context.ts'
import type { Group, Spec } from './spec.ts'
import { duration, oneOf } from './values.ts'

const GROUPS: readonly Group[] = [IMAGE, ROLLOUT, NODE, LEDGER, HOTFIX, EVIDENCE, AUDIT, POLICY, KEY]
const COMMANDS: readonly Spec[] = [...FLEET, ...QUERIES, ...KEEP, COMPLETION]

/** Every command as data: --help, the man page and docs/reference.md are made of it. */
export const TREE = { commands: COMMANDS, groups: GROUPS } as const

export const EXIT_CODES: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'failed',
  2: 'usage',
  3: 'rolled back',
  4: 'paused',
  5: 'refused',
  6: 'conflict',
  7: 'no quorum',
  8: 'unreachable',
  9: 'timed out',
}

/** A command that was asked for: its name, the options that every command has, and its work. */
export type Perform = (
  what: string,
  options: GlobalOptions,
  load: Spec['load'],
  args: readonly unknown[],
) => Promise<void>

/**
 * The command line. Of the groups only the one that `argv` asks for is filled in: building all forty commands costs as
 * much as running one of them.
 */
export function createProgram(version: string, argv: readonly string[], perform: Perform): Command {
  const program = new Command('fleetctl')
    .description('Asks and commands the fleetd on this host, and through it the fleet.')
    .helpCommand(false)
    .option('--api <addr>', 'unix:PATH, HOST:PORT or https://HOST:PORT of the daemon (env FLEETCTL_API)')
    .option('--api-token-file <file>', 'the token for https://, in a file of mode 0600 (env FLEETCTL_API_TOKEN_FILE)')
    .option(
      '--api-fingerprint <sha256>',
      'the certificate that https:// has to show, as "fleetctl info" on its host prints it (env FLEETCTL_API_FINGERPRINT; default: one that this host trusts)',
    )
    .addOption(new Option('--format <format>', 'text or json').default('text').argParser(oneOf('text', 'json')))
    .addOption(new Option('--timeout <time>', 'how long it may take (default: 10s for an answer)').argParser(duration))
    .option('--no-color', 'no colour (also: NO_COLOR)')
    .option('--key <file>', 'operator or publisher key (env FLEETCTL_KEY; default: ~/.config/fleetctl/operator.key)')
    .configureHelp({ showGlobalOptions: true })
    .addHelpText(
      'after',
      `
Example:
  fleetctl init && fleetctl invite      a first fleet; the token goes to the next host
  fleetctl COMMAND --help               what a command does, with an example

Exit: ${Object.entries(EXIT_CODES)
        .map(each => each.join(' '))
        .join(', ')}`,
    )
  quiet(program)
  // Only right behind the program's name: `image build` has a --version of its own.
  if (argv[0] === '--version') program.version(version, '--version', 'the version of fleetctl')
  for (const spec of COMMANDS) add(program, spec, perform)
  for (const group of GROUPS) {
    const parent = quiet(program.command(group.name)).description(group.summary).helpCommand(false)
    if (argv.includes(group.name)) for (const spec of group.commands) add(parent, spec, perform)
  }
  return program
}

function add(parent: Command, spec: Spec, perform: Perform): void {
  const command = quiet(parent.command(spec.usage)).description(spec.summary)
  if (spec.choices !== undefined) command.registeredArguments[0]!.choices(spec.choices)
  for (const { flags, help, parse, required } of spec.flags ?? []) {
    const option = new Option(flags, help)
    if (parse !== undefined) option.argParser(parse as (text: string) => unknown)
    if (required === true) option.makeOptionMandatory()
    command.addOption(option)
  }
  command.addHelpText('after', `\nExample:\n  ${spec.example}`)
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, -1) // the arguments and the options; last comes the command itself
    const { timeout, ...options } = command.optsWithGlobals() as GlobalOptions
    if (timeout === undefined) return perform(pathOf(command), options, spec.load, args)
    if (spec.ownTimeout !== true) return perform(pathOf(command), { ...options, timeout }, spec.load, args)
    await perform(pathOf(command), options, spec.load, [...args.slice(0, -1), { ...(args.at(-1) as object), timeout }])
  })
}

/** Errors are ours to print; commander only throws them. */
function quiet(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .showSuggestionAfterError(true)
}

/** `image build`, without the program's own name. */
export function pathOf(command: Command): string {
  const names: string[] = []
  for (let at: Command | null = command; at?.parent != null; at = at.parent) names.unshift(at.name())
  return names.join(' ')
}
