import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { stringify } from 'yaml'
import { eventually } from './wait.ts'

/** Real fleetd and fleetctl processes from dist/ on loopback, in a temporary directory of their own. */

const ROOT = resolve(import.meta.dirname, '../..')
export const FLEETD = join(ROOT, 'dist/fleetd.js')
export const FLEETCTL = join(ROOT, 'dist/fleetctl.js')

export interface CtlResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface DaemonOptions {
  readonly name: string
  readonly group?: string
  readonly zone?: string
  readonly class?: string
  readonly join?: readonly string[]
  readonly init?: boolean
  readonly layers?: Record<string, unknown>
  readonly flags?: readonly string[]
  readonly port?: number
  /** Instead of 127.0.0.1 and a free port. */
  readonly listen?: readonly string[]
  /** What the program is put behind, as `ip netns exec NAME`; it has to become the program, with the same pid. */
  readonly within?: readonly string[]
  readonly mdns?: boolean
  /** Another build of the daemon. */
  readonly program?: string
}

export interface Daemon {
  readonly name: string
  readonly dir: string
  readonly port: number
  readonly socket: string
  readonly process: ChildProcess
  /** What it has logged so far. */
  log(): string
  ctl(...args: string[]): Promise<CtlResult>
  /** Runs fleetctl with `--format json` and gives what it printed. Throws when it did not exit with 0. */
  json<T = Record<string, unknown>>(...args: string[]): Promise<T>
  kill(signal: NodeJS.Signals): void
  /** Resolves with the exit code (or null when killed). */
  exited(): Promise<number | null>
  /** The same daemon again on the same data directory, with other options where given. */
  restart(changes?: Partial<DaemonOptions>): Promise<Daemon>
}

export interface Sandbox {
  readonly dir: string
  /** Starts a daemon; resolves once it logged `fleetd ready`. */
  start(options: DaemonOptions): Promise<Daemon>
  /** A first daemon that makes a fleet, and `count - 1` that join it through it. */
  fleet(count: number, options?: (index: number) => Partial<DaemonOptions>): Promise<Daemon[]>
  readonly operatorKey: string
  close(): Promise<void>
}

export async function sandbox(): Promise<Sandbox> {
  const dir = await mkdtemp(join(tmpdir(), 'fleetd-test-'))
  const running = new Set<Daemon>()
  const operatorKey = join(dir, 'operator.key')

  const start = async (options: DaemonOptions): Promise<Daemon> => {
    const dataDir = join(dir, options.name)
    mkdirSync(dataDir, { recursive: true, mode: 0o700 })
    const port = options.port ?? (await freePort())
    const socket = join(dataDir, 'api.sock')
    const configFile = join(dir, `${options.name}.yaml`)
    writeFileSync(configFile, stringify({ layers: options.layers ?? {} }))
    const listen = options.listen ?? [`127.0.0.1:${port}`]
    const args = [
      ...['--data-dir', dataDir, '--name', options.name, '--api', `unix:${socket}`],
      ...listen.flatMap(address => ['--listen', address]),
      ...['--config', configFile, '--profile', 'local', '--log-format', 'json', '--log-level', 'debug'],
      // Many daemons on one host: the page is for the one that asks for it.
      ...(options.flags?.includes('--web') === true ? [] : ['--web', 'off']),
      ...(options.mdns === true ? [] : ['--no-mdns']),
      ...(options.init === true ? ['--init', '--operator-key', operatorKey] : []),
      ...(options.group === undefined ? [] : ['--group', options.group]),
      ...(options.zone === undefined ? [] : ['--zone', options.zone]),
      ...(options.class === undefined ? [] : ['--class', options.class]),
      ...(options.join ?? []).flatMap(target => ['--join', target]),
      ...(options.flags ?? []),
    ]
    const logFile = join(dir, `${options.name}.log`)
    const [program = FLEETD, ...behind] = [...(options.within ?? []), options.program ?? FLEETD, ...args]
    const child = spawn(program, behind, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    const sink = createWriteStream(logFile, { flags: 'a' })
    let text = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', chunk => {
        text += chunk
        sink.write(chunk)
      })
    }
    const exited = new Promise<number | null>(done => child.once('exit', code => done(code)))
    const daemon: Daemon = {
      name: options.name,
      dir: dataDir,
      port,
      socket,
      process: child,
      log: () => text,
      ctl: (...ctlArgs) => fleetctl(['--api', `unix:${socket}`, '--key', operatorKey, ...ctlArgs]),
      async json<T>(...ctlArgs: string[]) {
        const result = await daemon.ctl('--format', 'json', ...ctlArgs)
        if (result.code !== 0)
          throw new Error(`fleetctl ${ctlArgs.join(' ')} exited with ${result.code}: ${result.stderr}${result.stdout}`)
        return JSON.parse(result.stdout) as T
      },
      kill: signal => void child.kill(signal),
      exited: () => exited,
      async restart(changes = {}) {
        if (child.exitCode === null && child.signalCode === null) {
          child.kill('SIGTERM')
          await exited
        }
        running.delete(daemon)
        return start({ ...options, port, ...changes })
      },
    }
    running.add(daemon)
    await eventually(
      `${options.name} to be ready`,
      () => {
        if (child.exitCode !== null) throw new Error(`${options.name} exited with ${child.exitCode}`)
        return text.includes('fleetd ready')
      },
      { seconds: 90, everyMs: 20, seen: () => text.slice(-2000) },
    )
    return daemon
  }

  return {
    dir,
    operatorKey,
    start,
    async fleet(count, options = () => ({})) {
      const first = await start({ name: 'n0', init: true, ...options(0) })
      const { token } = await first.json<{ token: string }>('invite', '--ttl', '1h')
      const rest: Daemon[] = []
      for (let i = 1; i < count; i++) rest.push(await start({ name: `n${i}`, join: [token], ...options(i) }))
      return [first, ...rest]
    },
    async close() {
      for (const daemon of running) daemon.kill('SIGCONT')
      for (const daemon of running) daemon.kill('SIGKILL')
      await Promise.all([...running].map(daemon => daemon.exited()))
      killOrphans(dir)
      await rm(dir, { recursive: true, force: true })
    },
  }
}

export function fleetctl(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CtlResult> {
  return new Promise(done => {
    execFile(
      process.execPath,
      [FLEETCTL, ...args],
      { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        done({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : 1, stdout, stderr })
      },
    )
  })
}

/** A TCP port on loopback that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer()
    server.once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => done(port))
    })
  })
}

/** Programs outlive a killed daemon on purpose; those that run inside `dir` end with the sandbox. */
function killOrphans(dir: string): void {
  for (const pid of readdirSync('/proc').map(Number).filter(Number.isInteger)) {
    try {
      if (
        readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(dir) ||
        readlinkSync(`/proc/${pid}/cwd`).startsWith(dir)
      )
        process.kill(pid, 'SIGKILL')
    } catch {
      // It is gone, or not ours to look at.
    }
  }
}
