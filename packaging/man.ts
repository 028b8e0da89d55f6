import { EXIT_CODES } from '../cli/program.ts'
import { EXAMPLES } from '../daemon/config/command-line.ts'
import { OPTIONS } from '../daemon/config/options.ts'
import { commands, globalFlags } from './commands.ts'
import { MANIFEST, sourceDate } from './project.ts'

/*
 * The man pages, from the same tables as --help. In the macros of man(7), which groff and mandoc both know.
 */

interface Flag {
  readonly flags: string
  readonly help: string
}

/** fleetd(8). */
export function fleetd(): string {
  return page('fleetd', 8, 'the daemon of a fleet that replaces itself', [
    section('SYNOPSIS', '.B fleetd', text('[--config FILE]... [FLAGS]')),
    section(
      'DESCRIPTION',
      text(
        'The daemon of a fleet that looks after itself: it keeps track of who is in the fleet and how they are, passes images from host to host, and replaces what this host runs, a few hosts at a time, with no server.',
      ),
    ),
    section(
      'OPTIONS',
      ...listOf([
        {
          flags: '--config <file>',
          help: 'YAML file with any of these settings and layers; later ones win (repeatable)',
        },
        { flags: '--check-config', help: 'check the configuration, say what is wrong with it, and exit' },
        { flags: '--version', help: 'print the version and exit' },
        { flags: '--help', help: 'print what there is and exit' },
      ]),
      ...Object.entries(OPTIONS).flatMap(([heading, options]) => [`.SS ${quoted(heading)}`, ...listOf(options)]),
    ),
    section('EXAMPLES AND MORE', verbatim(EXAMPLES.replace(/^\s*Examples:\n/, ''))),
    section(
      'FILES',
      ...listOf([
        { flags: '/etc/fleetd/fleetd.yaml', help: 'the configuration of the Debian package' },
        {
          flags: '/var/lib/fleetd',
          help: 'all that the daemon keeps: its identity, what it promised, images. Never restore it from a copy: the node would forget what it promised since',
        },
      ]),
    ),
    section(
      'EXIT STATUS',
      text('0 after a clean stop, 2 when flags or configuration are wrong, and as fleetctl otherwise.'),
    ),
    section('SEE ALSO', '.BR fleetctl (1)'),
  ])
}

/** fleetctl(1), with all its commands. */
export function fleetctl(): string {
  return page('fleetctl', 1, 'ask and command the fleetd on this host', [
    section('SYNOPSIS', '.B fleetctl', text('COMMAND [ARGUMENTS] [FLAGS]')),
    section('DESCRIPTION', text('Asks and commands the fleetd on this host, and through it the fleet.')),
    section('OPTIONS', ...listOf(globalFlags())),
    section(
      'COMMANDS',
      ...commands().flatMap(({ heading, commands }) => [
        `.SS ${quoted(heading)}`,
        ...commands.flatMap(({ whole, summary, flags = [], example }) => [
          '.TP',
          `.B ${text(whole)}`,
          text(summary),
          ...(flags.length > 0 ? ['.RS', ...listOf(flags), '.RE'] : []),
          '.IP',
          verbatim(`  ${example}`),
        ]),
      ]),
    ),
    section(
      'EXIT STATUS',
      ...listOf(Object.entries(EXIT_CODES).map(([code, meaning]) => ({ flags: code, help: meaning }))),
    ),
    section('SEE ALSO', '.BR fleetd (8)'),
  ])
}

function page(name: string, part: number, what: string, sections: readonly string[]): string {
  const date = new Date(Number(sourceDate()) * 1000).toISOString().slice(0, 10)
  return (
    [
      `.TH ${name} ${part} ${date} ${quoted(`fleetd ${MANIFEST.version}`)}`,
      section('NAME', `${name} \\- ${text(what)}`),
      ...sections,
    ].join('\n') + '\n'
  )
}

const section = (heading: string, ...lines: readonly string[]): string =>
  [`.SH ${quoted(heading)}`, ...lines].join('\n')

const listOf = (flags: readonly Flag[]): string[] =>
  flags.flatMap(({ flags, help }) => ['.TP', `.B ${text(flags)}`, text(help)])

const verbatim = (block: string): string => `.nf\n${block.split('\n').map(text).join('\n')}\n.fi`

/** Text as it is: a backslash, and a dot or quote at the beginning of a line, are orders to roff; a bare hyphen may become another sign. */
const text = (plain: string): string =>
  plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replace(/^\./gm, '\\&.')

const quoted = (plain: string): string => `"${text(plain).replaceAll('"', '\\(dq')}"`
