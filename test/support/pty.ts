import { spawn } from 'node:child_process'
import { stripVTControlCharacters } from 'node:util'
import { eventually } from './wait.ts'

/** A program that has a terminal, as if a person sat there. */
export interface Pty {
  /** As if it were typed. */
  type(text: string): void
  /** What has been written so far: with its escape sequences, or as text. */
  raw(): string
  text(): string
  /** Waits until `pattern` is in what was written since the last call; gives that. */
  until(pattern: RegExp): Promise<string>
  /** Waits until the program has ended; gives its exit code. */
  ended(): Promise<number | null>
  close(): void
}

/** Runs a line of sh in a terminal of so many columns (util-linux's script has the terminal). */
export function openPty(command: string, { columns = 80, env = {} as NodeJS.ProcessEnv } = {}): Pty {
  const child = spawn(
    'script',
    ['--quiet', '--flush', '--return', '--command', `stty cols ${columns} rows 40; ${command}`, '/dev/null'],
    { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH, TERM: 'xterm', ...env } },
  )
  let raw = ''
  let seen = 0
  child.stdout.on('data', (part: Buffer) => {
    raw += part
  })
  child.stdin.on('error', () => undefined) // the program has ended
  const ended = new Promise<number | null>((done, fail) => child.once('close', done).once('error', fail))
  return {
    type: text => void child.stdin.write(text),
    raw: () => raw,
    text: () => stripVTControlCharacters(raw),
    async until(pattern) {
      const fresh = (): string => stripVTControlCharacters(raw.slice(seen))
      const found = await eventually(`${pattern} from ${command}`, () => pattern.test(fresh()) && fresh(), {
        seconds: 20,
        everyMs: 20,
        seen: fresh,
      })
      seen = raw.length
      return found
    },
    ended: () => ended,
    close: () => void child.kill('SIGKILL'),
  }
}
