import { homedir } from 'node:os'
import { join } from 'node:path'
import { FleetError } from '../protocol/errors.ts'
import { type Client, createClient, type Door } from './client.ts'
import { fitted } from './fit.ts'
import { createPaint, type Paint } from './paint.ts'

/** What came with every command. */
export interface GlobalOptions {
  readonly api?: string
  readonly apiTokenFile?: string
  readonly apiFingerprint?: string
  readonly format: 'text' | 'json'
  readonly timeout?: number
  readonly color: boolean
  readonly key?: string
}

/** The process around a command, so that a command can be read without one. */
export interface Terminal {
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
  readonly stdin: NodeJS.ReadStream
  readonly env: NodeJS.ProcessEnv
}

/** What a command works with. */
export interface Context {
  readonly client: Client
  readonly terminal: Terminal
  readonly json: boolean
  readonly paint: Paint
  /** True when standard output is a terminal, and text is wanted: redraw, colour, hints. */
  readonly live: boolean
  /** Columns of the terminal; undefined where nothing has to fit. */
  readonly width: number | undefined
  readonly keyFile: string
  /** Aborts on Ctrl-C, and when a --timeout that was given is over. */
  readonly signal: AbortSignal
  /** A line of text on standard output, as it is. */
  print(text: string): void
  /** Text for a person: lines that are wider than the terminal are broken at words. */
  say(text: string): void
  /** One JSON value on standard output, on one line. */
  emit(value: unknown): void
  /** The answer in the form that was asked for. */
  show(value: unknown, text: () => string): void
  /** What to do next, for a person at a terminal; silent otherwise. */
  hint(text: string): void
}

/** How long one answer may take. Commands that follow something take as long as it takes. */
const PATIENCE = 10_000

export function createContext(options: GlobalOptions, terminal: Terminal, interrupted: AbortSignal): Context {
  const { stdout, stderr, env } = terminal
  const json = options.format === 'json'
  const live = stdout.isTTY === true && !json
  const signal = options.timeout === undefined ? interrupted : AbortSignal.any([interrupted, deadline(options.timeout)])
  const color = live && options.color && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb'
  const print = (text: string): void => void stdout.write(text + '\n')
  // A terminal that does not know its width says 0.
  const width = live ? stdout.columns || undefined : undefined
  const say = (text: string): void => print(fitted(text, width))
  const emit = (value: unknown): void => print(JSON.stringify(value))
  return {
    client: createClient({
      door: doorOf(options, env),
      timeout: options.timeout ?? PATIENCE,
      signal,
    }),
    terminal,
    json,
    live,
    paint: createPaint(color),
    width,
    keyFile: options.key ?? env.FLEETCTL_KEY ?? join(homedir(), '.config/fleetctl/operator.key'),
    signal,
    print,
    say,
    emit,
    show: (value, text) => (json ? emit(value) : say(text())),
    hint: text => {
      if (!json && stderr.isTTY === true) stderr.write(text + '\n')
    },
  }
}

/** Where the daemon is, and what it takes to be let in: as the options say, or the environment; else the local daemon's socket. */
export function doorOf(
  { api, apiTokenFile, apiFingerprint }: Pick<GlobalOptions, 'api' | 'apiTokenFile' | 'apiFingerprint'>,
  env: NodeJS.ProcessEnv,
): Door {
  return {
    address: api ?? env.FLEETCTL_API ?? defaultAddress(env),
    tokenFile: apiTokenFile ?? env.FLEETCTL_API_TOKEN_FILE,
    fingerprint: apiFingerprint ?? env.FLEETCTL_API_FINGERPRINT,
  }
}

function defaultAddress(env: NodeJS.ProcessEnv): string {
  const dataDir =
    env.FLEETD_DATA_DIR ?? (process.getuid?.() === 0 ? '/var/lib/fleetd' : join(homedir(), '.local/share/fleetd'))
  return `unix:${dataDir}/fleetd.sock`
}

function deadline(timeout: number): AbortSignal {
  const controller = new AbortController()
  setTimeout(
    () =>
      controller.abort(new FleetError('timeout', `not done within ${timeout / 1000} s; give it longer with --timeout`)),
    timeout,
  ).unref()
  return controller.signal
}
