import { fromCommandLine } from './command-line.ts'
import { checkOnlyOf, filesOf, fromEnvironment } from './environment.ts'
import { fromFile } from './file.ts'
import { type Config, complete } from './schema.ts'
import { check, type Source } from './source.ts'

export interface Loaded {
  readonly config: Config
  /** `--check-config`: say that it is good, and do no more. */
  readonly checkOnly: boolean
}

/**
 * The configuration from `argv` (without node and script), the environment and the files that they name. Each source is
 * checked by itself, so that a mistake is found even where a stronger source hides it. Throws `bad-input` naming the flag,
 * the variable, or file and line. Resolves with undefined after --help or --version was printed.
 */
export async function loadConfig(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  version: string,
): Promise<Loaded | undefined> {
  const commandLine = fromCommandLine(argv, version)
  if (commandLine === undefined) return undefined
  const sources: Source[] = []
  for (const file of commandLine.files.length > 0 ? commandLine.files : filesOf(env)) sources.push(await fromFile(file))
  sources.push(fromEnvironment(env), commandLine.source)
  for (const source of sources) check(source)
  return {
    config: complete(Object.assign({}, ...sources.map(source => source.values))),
    checkOnly: commandLine.checkOnly || checkOnlyOf(env),
  }
}
