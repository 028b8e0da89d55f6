import { spawn } from 'node:child_process'
import { environmentWith } from './environment.ts'

/** How long output is still waited for once the command has ended; something that left its group may hold it open. Milliseconds. */
const LAST_OUTPUT = 500

export interface CommandRun {
  /** A shell command line. */
  readonly command: string
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Milliseconds until it and all that it started is killed. */
  readonly timeout: number
  readonly signal: AbortSignal
  /** Given to it to read. Without it there is nothing to read. */
  readonly stdin?: Uint8Array
  onOutput(stream: 'stdout' | 'stderr', chunk: Buffer): void
}

/** How a command ended. `code` null: by a signal, `by`. */
export type CommandEnd =
  | { readonly end: 'exited'; readonly code: number | null; readonly by: NodeJS.Signals | null }
  | { readonly end: 'timeout' | 'cancelled' }
  | { readonly end: 'not-run'; readonly error: Error }

/** Runs a command line with /bin/sh. What it leaves running in its process group ends with it. Never throws. */
export function runCommand({ command, cwd, env, timeout, signal, stdin, onOutput }: CommandRun): Promise<CommandEnd> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve({ end: 'cancelled' })
    let killed: 'timeout' | 'cancelled' | undefined
    const child = spawn('/bin/sh', ['-c', command], {
      cwd,
      env: environmentWith(env),
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    const end = (why?: typeof killed): void => {
      killed ??= why
      if (child.pid === undefined) return
      try {
        process.kill(-child.pid, 'SIGKILL')
      } catch {
        // Nothing of it is left.
      }
    }
    const cancel = (): void => end('cancelled')
    const timer = setTimeout(() => end('timeout'), timeout)
    let lastOutput: NodeJS.Timeout | undefined
    signal.addEventListener('abort', cancel, { once: true })
    const streams = { stdout: child.stdout!, stderr: child.stderr! }
    streams.stdout.on('data', chunk => onOutput('stdout', chunk))
    streams.stderr.on('data', chunk => onOutput('stderr', chunk))
    // Not every command reads what it is given.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(stdin)
    const finish = (how: CommandEnd): void => {
      clearTimeout(timer)
      clearTimeout(lastOutput)
      signal.removeEventListener('abort', cancel)
      resolve(how)
    }
    child.once('error', error => finish({ end: 'not-run', error }))
    child.once('exit', () => {
      clearTimeout(timer)
      end()
      lastOutput = setTimeout(() => {
        streams.stdout.destroy()
        streams.stderr.destroy()
        child.stdin?.destroy()
      }, LAST_OUTPUT)
    })
    child.once('close', (code, by) => finish(killed === undefined ? { end: 'exited', code, by } : { end: killed }))
  })
}
