import { type CommandEnd, explain, runCommand } from '../drivers/index.ts'

/** Bytes of stdout that are kept, the first ones; the most that a response to a query may have. */
export const OUTPUT_LIMIT = 64 * 1024
/** Bytes of stderr that are kept, the last ones: the log says how they end. */
const KEPT_STDERR = 4 * 1024

export interface ScriptRun {
  readonly script: string
  readonly variables: Readonly<Record<string, string>>
  readonly stdin: Uint8Array
  /** Milliseconds until it and all that it started is killed. */
  readonly timeout: number
  readonly signal: AbortSignal
}

export interface ScriptResult {
  readonly ended: CommandEnd
  readonly ok: boolean
  /** How it ended, with the last line of stderr. */
  readonly reason: string
  readonly stdout: Uint8Array
  /** Bytes of stdout past OUTPUT_LIMIT, which are gone. */
  readonly cut: number
}

/** Runs a script once, in the daemon's working directory. Never throws. */
export async function runScript({ script, variables, stdin, timeout, signal }: ScriptRun): Promise<ScriptResult> {
  const kept: Buffer[] = []
  let bytes = 0
  let stderr = Buffer.alloc(0)
  const run = { cwd: process.cwd(), timeout }
  const ended = await runCommand({
    ...run,
    command: script,
    env: variables,
    signal,
    stdin,
    onOutput(stream, chunk) {
      if (stream === 'stderr') {
        stderr = Buffer.concat([stderr, chunk]).subarray(-KEPT_STDERR)
        return
      }
      if (bytes < OUTPUT_LIMIT) kept.push(chunk.subarray(0, OUTPUT_LIMIT - bytes))
      bytes += chunk.length
    },
  })
  const lastLine = stderr.toString('utf8').trimEnd().split('\n').at(-1) ?? ''
  const why = explain(ended, run)
  return {
    ended,
    ok: ended.end === 'exited' && ended.code === 0,
    reason: lastLine === '' ? why : `${why}: ${lastLine}`,
    stdout: Buffer.concat(kept),
    cut: Math.max(0, bytes - OUTPUT_LIMIT),
  }
}
