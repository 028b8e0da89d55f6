import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FLEETCTL, FLEETD } from '../../test/support/daemons.ts'
import { eventually } from '../../test/support/wait.ts'
import { connectSerf, type SerfClient } from './client.ts'
import { addressOf, type Place } from './lan.ts'

/** One agent of either kind, on a host of its own. */
export interface Agent {
  readonly name: string
  readonly host: string
  process: ChildProcess
  client: SerfClient
}

/** A kind of agent: how one is started on a host, the first of which all others join. */
export interface System {
  readonly name: 'fleetd' | 'serf'
  start(index: number, where: Where): ChildProcess
}

export interface Where {
  readonly place: Place
  readonly dir: string
}

/** Agents are asked from another host, which neither of them allows without a key. */
const RPC_KEY = 'bench'

function run({ place }: Where, index: number, program: string, args: readonly string[]): ChildProcess {
  return spawn('ip', ['netns', 'exec', place.hosts[index]!, program, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  })
}

export const serf: System = {
  name: 'serf',
  start(index, where) {
    // The key of the RPC port is none of its flags.
    const config = join(where.dir, 'serf.json')
    writeFileSync(config, JSON.stringify({ rpc_auth: RPC_KEY }))
    return run(where, index, 'serf', [
      ...['agent', '-config-file', config, '-node', `n${index}`, '-profile', 'lan', '-log-level', 'err'],
      ...['-bind', `${addressOf(index)}:7946`, '-rpc-addr', `${addressOf(index)}:7373`],
      ...['-snapshot', join(where.dir, `serf-${index}.snapshot`)],
      ...(index === 0 ? [] : ['-retry-join', `${addressOf(0)}:7946`, '-retry-interval', '1s']),
    ])
  },
}

/** Daemons of one fleet; the first makes it, and its token lets the others in. */
export function fleetd(): System {
  let token: string | undefined
  return {
    name: 'fleetd',
    start(index, where) {
      const { dir } = where
      const data = join(dir, `fleetd-${index}`)
      const key = join(dir, 'operator.key')
      const auth = join(dir, 'serf.token')
      mkdirSync(data, { recursive: true, mode: 0o700 })
      writeFileSync(auth, RPC_KEY, { mode: 0o600 })
      const entry = index === 0 ? ['--init', '--operator-key', key] : ['--join', invite(dir, key)]
      return run(where, index, FLEETD, [
        ...['--data-dir', data, '--name', `n${index}`, '--listen', `${addressOf(index)}:7946`, '--no-mdns'],
        ...['--serf-rpc', `${addressOf(index)}:7373`, '--serf-rpc-auth-file', auth],
        ...['--profile', 'lan', '--log-level', 'error', ...entry],
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
export async function startFleet(system: System, count: number, where: Where): Promise<Agent[]> {
  const agents: Agent[] = []
  for (let index = 0; index < count; index++) agents.push(await startAgent(system, index, where))
  return agents
}

export async function startAgent(system: System, index: number, where: Where): Promise<Agent> {
  const child = system.start(index, where)
  const client = await eventually(
    `${system.name} ${index} to answer`,
    () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
      return connectSerf(addressOf(index), RPC_KEY)
    },
    { seconds: 60, everyMs: 20 },
  )
  return { name: `n${index}`, host: addressOf(index), process: child, client }
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

/** Bytes that the agent's host has sent so far: the ninth column of its interface, see proc_pid_net(5). */
export function bytesSent({ process: { pid } }: Agent): number {
  const line = /eth0:(.*)/.exec(readFileSync(`/proc/${pid}/net/dev`, 'utf8'))![1]!
  return Number(line.trim().split(/\s+/)[8])
}
