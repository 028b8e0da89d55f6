import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FLEETCTL, FLEETD } from '../../test/support/daemons.ts'
import { eventually } from '../../test/support/wait.ts'
import { connectSerf, type SerfClient } from './client.ts'

/** One agent of either kind, on an address of its own. */
export interface Agent {
  readonly name: string
  readonly host: string
  process: ChildProcess
  client: SerfClient
}

/** A kind of agent: how one is started on an address, the first of which all others join. */
export interface System {
  readonly name: 'fleetd' | 'serf'
  start(index: number, dir: string): ChildProcess
}

export const hostOf = (index: number): string => `127.0.1.${index + 1}`
const run = (program: string, args: readonly string[]): ChildProcess =>
  spawn(program, args, { stdio: 'ignore', env: { ...process.env, NODE_OPTIONS: '' } })

export const serf: System = {
  name: 'serf',
  start: (index, dir) =>
    run('serf', [
      ...['agent', '-node', `n${index}`, '-bind', `${hostOf(index)}:7946`, '-rpc-addr', `${hostOf(index)}:7373`],
      ...['-profile', 'lan', '-log-level', 'err', '-snapshot', join(dir, `serf-${index}.snapshot`)],
      ...(index === 0 ? [] : ['-retry-join', `${hostOf(0)}:7946`, '-retry-interval', '1s']),
    ]),
}

/** Daemons of one fleet; the first makes it, and its token lets the others in. */
export function fleetd(): System {
  let token: string | undefined
  return {
    name: 'fleetd',
    start(index, dir) {
      const data = join(dir, `fleetd-${index}`)
      const key = join(dir, 'operator.key')
      mkdirSync(data, { recursive: true, mode: 0o700 })
      const join_ = data === join(dir, 'fleetd-0') ? ['--init', '--operator-key', key] : ['--join', invite(dir, key)]
      return run(FLEETD, [
        ...['--data-dir', data, '--name', `n${index}`, '--listen', `${hostOf(index)}:7946`, '--no-mdns'],
        ...['--serf-rpc', `${hostOf(index)}:7373`, '--profile', 'lan', '--log-level', 'error', ...join_],
      ])
    },
  }
  function invite(dir: string, key: string): string {
    token ??= execFileSync(
      process.execPath,
      [FLEETCTL, '--api', `unix:${join(dir, 'fleetd-0/fleetd.sock')}`, '--key', key, 'invite', '--ttl', '2h'],
      { encoding: 'utf8' },
    ).trim()
    return token
  }
}

/** Starts `count` agents, one after the other as soon as the one before answers. */
export async function startFleet(system: System, count: number, dir: string): Promise<Agent[]> {
  const agents: Agent[] = []
  for (let index = 0; index < count; index++) agents.push(await startAgent(system, index, dir))
  return agents
}

export async function startAgent(system: System, index: number, dir: string): Promise<Agent> {
  const child = system.start(index, dir)
  const client = await eventually(
    `${system.name} ${index} to answer`,
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
      return connectSerf(hostOf(index))
    },
    { seconds: 30, everyMs: 20 },
  )
  return { name: `n${index}`, host: hostOf(index), process: child, client }
}

export async function endFleet(agents: readonly Agent[]): Promise<void> {
  for (const agent of agents) {
    agent.client.close()
    agent.process.kill('SIGCONT')
    agent.process.kill('SIGKILL')
  }
  while (agents.some(({ process: child }) => child.exitCode === null && child.signalCode === null)) await sleep(20)
}

export interface Seen {
  readonly name: string
  readonly status: string
}

/** The members that an agent lists, all or those of one name. */
export async function members(agent: Agent, name?: string): Promise<Seen[]> {
  const body =
    name === undefined ? await agent.client.ask('members') : await agent.client.ask('members-filtered', { Name: name })
  return (body.Members as { Name: string; Status: string }[]).map(({ Name, Status }) => ({
    name: Name,
    status: Status,
  }))
}

export const residentMb = ({ process: { pid } }: Agent): number =>
  (Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024) / 1e6

/** Seconds of processor time so far: fields 14 and 15 of /proc/PID/stat in hundredths, see proc(5). */
export function processorSeconds({ process: { pid } }: Agent): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

/** Bytes that went over this network namespace's loopback so far. */
export const bytesSent = (): number => Number(/lo:\s+(\d+)/.exec(readFileSync('/proc/self/net/dev', 'utf8'))![1])
