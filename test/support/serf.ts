import { execFile, spawn, spawnSync } from 'node:child_process'

/** The `serf` program (Debian package `serf`), as it is, against something that speaks its agent's protocol. */

export const serfInstalled = spawnSync('serf', ['version']).status === 0
export const SKIPPED = 'skipped: the serf program is not installed (apt-get install serf)'

export interface SerfResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs `serf COMMAND` against the agent at `address`. */
export function serf(address: string, command: string, ...args: string[]): Promise<SerfResult> {
  return new Promise(done => {
    execFile('serf', [command, `-rpc-addr=${address}`, ...args], { timeout: 60_000 }, (error, stdout, stderr) =>
      done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, stdout, stderr }),
    )
  })
}

export interface SerfMonitor {
  /** What it has printed so far. */
  text(): string
  /** As Ctrl-C does; gives the exit code. */
  interrupt(): Promise<number | null>
  exited(): Promise<number | null>
}

export function serfMonitor(address: string, ...args: string[]): SerfMonitor {
  const child = spawn('serf', ['monitor', `-rpc-addr=${address}`, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', chunk => {
      text += chunk
    })
  }
  const exited = new Promise<number | null>(done => child.once('close', code => done(code)))
  return {
    text: () => text,
    interrupt() {
      child.kill('SIGINT')
      return exited
    },
    exited: () => exited,
  }
}
