import { createClient } from '../client.ts'
import { doorOf, type Terminal } from '../context.ts'
import { createProgram } from '../program.ts'
import { plain } from '../text.ts'
import { VERSION } from '../version.ts'
import { liveNames } from './live.ts'
import { beginning, type Candidate, wantedBy } from './wanted.ts'

/** Somebody has pressed a key and waits. Milliseconds. */
const PATIENCE = 1_500

/** What no shell takes for anything but letters: names that others gave are put on a command line. */
const HARMLESS = /^[\w@%+=:,./-]+$/

/** More than anybody reads. */
const MAX_CANDIDATES = 500

/**
 * `fleetctl __complete WORD...`: prints what the last word may become, a line each (see scripts.ts). Names that are live are left out where no
 * daemon answers: nobody wants an error in the middle of a line that is not finished.
 */
export async function complete(line: readonly string[], terminal: Terminal, interrupted: AbortSignal): Promise<number> {
  const program = createProgram(VERSION, line, async () => undefined)
  const { words, live, files, typed, before, given } = wantedBy(program, line)
  let candidates: readonly Candidate[] = words
  if (live !== undefined) {
    const client = createClient({ door: doorOf(given, terminal.env), timeout: PATIENCE, signal: interrupted })
    candidates = beginning(await liveNames(client, live, given.group).catch(() => []), typed)
  }
  for (const { word, help } of candidates.slice(0, MAX_CANDIDATES))
    if (HARMLESS.test(word)) terminal.stdout.write(`${before}${word}\t${plain(help)}\n`)
  if (files) terminal.stdout.write(':files\n')
  return 0
}
