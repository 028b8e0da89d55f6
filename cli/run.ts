import type { Command } from 'commander'
import { CommanderError } from 'commander'
import { EXIT_CODE, FleetError, toFleetError } from '../protocol/errors.ts'
import { createContext, type Terminal } from './context.ts'
import { createProgram, pathOf } from './program.ts'
import { plain } from './text.ts'
import { VERSION } from './version.ts'

/** 128 + SIGINT, as shells count it. */
const INTERRUPTED = 130
const USAGE = 2

/** Runs one command line and gives its exit code. */
export async function run(argv: readonly string[], terminal: Terminal, interrupted: AbortSignal): Promise<number> {
  // What shells ask while somebody types (see `fleetctl completion`).
  if (argv[0] === '__complete')
    return (await import('./completion/index.ts')).complete(argv.slice(1), terminal, interrupted)
  let code = 0
  let what = ''
  const program: Command = createProgram(VERSION, argv, async (name, options, load, args) => {
    what = name
    const context = createContext(options, terminal, interrupted)
    const action = await load()
    try {
      code = (await action(context, ...(args as never[]))) ?? 0
    } catch (error) {
      // What an abort interrupts reports all sorts of errors; the reason for it is the one to tell.
      throw context.signal.aborted ? context.signal.reason : error
    }
  })
  try {
    await program.parseAsync(argv as string[], { from: 'user' })
    return code
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      if (thrown.exitCode === 0) return 0
      if (thrown.code === 'commander.help') {
        terminal.stderr.write(commandIn(program, argv).helpInformation())
        return USAGE
      }
      const named = pathOf(commandIn(program, argv))
      report(usageError(thrown, named), named, argv, terminal)
      return USAGE
    }
    if (interrupted.aborted) return INTERRUPTED
    const error = toFleetError(thrown)
    report(error, what, argv, terminal)
    return EXIT_CODE[error.code] ?? 1
  }
}

function report(error: FleetError, what: string, argv: readonly string[], { stderr }: Terminal): void {
  if (wantsJson(argv)) {
    stderr.write(JSON.stringify({ error: { ...error.detail, code: error.code, message: error.message } }) + '\n')
    return
  }
  stderr.write(`fleetctl: ${what === '' ? '' : `${what}: `}${plain(error.message)}\n`)
}

/** Commander's two lines (what is wrong, what was meant) as one sentence. */
function usageError(error: CommanderError, what: string): FleetError {
  const [sentence = '', meant = ''] = error.message.replace(/^error: /, '').split('\n')
  const suggestion = meant.replace(
    /^\((.*)\?\)$/,
    (_, text: string) => `; ${text.replace('Did you mean one of', 'did you mean').replace('Did', 'did')}?`,
  )
  const more = meant === '' ? `; see fleetctl ${what === '' ? '' : `${what} `}--help` : suggestion
  return new FleetError('bad-input', sentence.replace(/\.$/, '') + more)
}

/** The command that a line names, as far as its words are known. For lines that were not understood. */
function commandIn(program: Command, argv: readonly string[]): Command {
  let command = program
  for (const [at, word] of argv.entries()) {
    if (word.startsWith('-') || takesValue(argv[at - 1])) continue
    const next = command.commands.find(candidate => candidate.name() === word)
    if (next === undefined) break
    command = next
  }
  return command
}

const takesValue = (word: string | undefined): boolean =>
  word !== undefined &&
  ['--api', '--api-token-file', '--api-fingerprint', '--format', '--timeout', '--key'].includes(word)

/** Also where the command line was not understood. */
function wantsJson(argv: readonly string[]): boolean {
  return argv.some((word, at) => word === '--format=json' || (word === '--format' && argv[at + 1] === 'json'))
}
