import { execFile } from 'node:child_process'
import { FleetError } from '../../protocol/index.ts'
import type { ProgramState } from './driver.ts'
import { environmentWith } from './environment.ts'

/** How long systemctl may take to say how a unit is. Milliseconds. */
const LOOK_LIMIT = 5_000
const OUTPUT_LIMIT = 64 * 1024

/** One unit of systemd, by the programs that come with it. */
export interface Unit {
  /** Throws `unavailable` with what systemctl said. Resolves when the job is over: for a unit of Type=notify, when it is ready. */
  start(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
  /** `invocation` is another at each start. */
  look(): Promise<UnitState>
  /** The end of its journal; empty where that cannot be read. */
  journal(lines: number): Promise<string>
}

export interface UnitState extends ProgramState {
  readonly invocation: string
}

/** `timeout`: how long a job may take, in milliseconds; systemd's own timeouts (TimeoutStartSec) should be shorter. */
export function createUnit(name: string, scope: 'system' | 'user', timeout: number): Unit {
  const job = async (verb: 'start' | 'restart' | 'stop'): Promise<void> => {
    await run('systemctl', [`--${scope}`, verb, name], timeout)
  }
  return {
    start: () => job('start'),
    restart: () => job('restart'),
    stop: () => job('stop'),
    look: async () =>
      unitState(
        name,
        await run('systemctl', [`--${scope}`, 'show', '--property', PROPERTIES.join(','), name], LOOK_LIMIT),
      ),
    journal: lines =>
      run(
        'journalctl',
        [`--${scope}`, '--unit', name, '--lines', `${lines}`, '--output', 'cat', '--no-pager'],
        LOOK_LIMIT,
      ).catch(() => ''),
  }
}

const PROPERTIES = ['LoadState', 'ActiveState', 'SubState', 'Result', 'MainPID', 'InvocationID']

/** What `systemctl show` printed, as the state of what runs. See ActiveState in org.freedesktop.systemd1(5). */
export function unitState(name: string, shown: string): UnitState {
  const of = Object.fromEntries(shown.split('\n').map(line => line.split(/=(.*)/s).slice(0, 2) as [string, string]))
  const pid = Number(of.MainPID) > 0 ? Number(of.MainPID) : undefined
  const invocation = of.InvocationID ?? ''
  const being = (state: ProgramState['state'], reason: string): UnitState => ({ state, reason, pid, invocation })
  const now = `unit ${name} is ${of.ActiveState ?? 'unknown'} (${of.SubState ?? '?'})`
  switch (of.ActiveState) {
    case 'active':
    case 'reloading':
      return being('running', now)
    case 'activating':
      // What waits for RestartSec= ended by itself.
      return being(of.SubState === 'auto-restart' ? 'backoff' : 'starting', now)
    case 'deactivating':
      return being('stopping', now)
    case 'failed':
      return being('stopped', `unit ${name} failed (${of.Result ?? '?'})`)
    default:
      return being(
        'stopped',
        of.LoadState === 'loaded' ? now : `unit ${name} is ${of.LoadState ?? 'not known to systemd'}`,
      )
  }
}

function run(program: string, args: readonly string[], timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { timeout, env: environmentWith({}), maxBuffer: OUTPUT_LIMIT }, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout)
      const why =
        error.killed === true
          ? `it did not end within ${timeout / 1000} s`
          : stderr.trim().split('\n').at(-1) || error.message
      reject(new FleetError('unavailable', `${program} ${args.slice(1).join(' ')}: ${why}`, { cause: error }))
    })
  })
}
