import { execFileSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../protocol/index.ts'
import {
  type Agent,
  bytesSent,
  endFleet,
  members,
  processorSeconds,
  residentMb,
  type System,
  startAgent,
  startFleet,
} from './fleets.ts'

/** What is measured of one kind of agent at one size. Times in milliseconds. */
export interface Measured {
  readonly joined: number
  readonly crash: readonly number[]
  readonly silent: readonly number[]
  readonly events: readonly number[]
  /** Pairs of an observer and a member that was up and that it held for failed, counted anew each time. */
  readonly falselyFailed: number
  readonly residentMb: number
  /** Of a core, idle. */
  readonly processorPercent: number
  /** Sent by each agent while nothing happens, with what its connections cost below it. */
  readonly bytesPerSecond: number
}

export interface Settings {
  readonly count: number
  readonly dir: string
  readonly crashes: number
  readonly silences: number
  readonly events: number
  readonly quietSeconds: number
  readonly lossSeconds: number
}

/** Agents are asked this often whom they hold for failed. Milliseconds. */
const LOOK_EVERY = 50
const SETTLE = 35_000

export async function measure(system: System, settings: Settings): Promise<Measured> {
  const { count, dir } = settings
  const agents = await startFleet(system, count, dir)
  try {
    const began = performance.now()
    await everywhere(agents, async agent => (await members(agent)).filter(isAlive).length === count)
    const joined = performance.now() - began
    const events = await deliverEvents(agents, settings.events)
    const quiet = await quietly(agents, settings.quietSeconds)
    const crash: number[] = []
    for (let n = 0; n < settings.crashes; n++) crash.push(await crashOne(system, agents, 2 + n * 3, dir))
    const silent: number[] = []
    for (let n = 0; n < settings.silences; n++) silent.push(await silenceOne(agents, 3 + n * 4))
    const falselyFailed = await underLoss(agents, settings.lossSeconds)
    return { joined, crash, silent, events, falselyFailed, ...quiet }
  } finally {
    rules('flush ruleset')
    await endFleet(agents)
  }
}

const isAlive = ({ status }: { status: string }): boolean => status === 'alive'

/** Asks each agent until it holds there, and then no more. */
async function everywhere(agents: readonly Agent[], holds: (agent: Agent) => Promise<boolean>): Promise<void> {
  const end = performance.now() + 120_000
  await Promise.all(
    agents.map(async agent => {
      while (!(await holds(agent).catch(() => false))) {
        if (performance.now() > end) throw new Error(`${agent.name} does not see it after two minutes`)
        await sleep(LOOK_EVERY)
      }
    }),
  )
}
const sees = (name: string, status: string) => async (agent: Agent) =>
  (await members(agent, name))[0]?.status === status

async function crashOne(system: System, agents: Agent[], index: number, dir: string): Promise<number> {
  const victim = agents[index]!
  const others = agents.filter(agent => agent !== victim)
  victim.client.close()
  const began = performance.now()
  victim.process.kill('SIGKILL')
  await everywhere(others, sees(victim.name, 'failed'))
  const took = performance.now() - began
  agents[index] = await startAgent(system, index, dir)
  await everywhere(others, sees(victim.name, 'alive'))
  return took
}

/** The packets of one agent's port are dropped, both ways, as when its cable is pulled. */
async function silenceOne(agents: readonly Agent[], index: number): Promise<number> {
  const victim = agents[index]!
  const others = agents.filter(agent => agent !== victim)
  await sleep(SETTLE / 4)
  const began = performance.now()
  const drop = `meta l4proto { tcp, udp } th dport 7946`
  rules(
    table(
      `ip daddr ${victim.host} ${drop} drop`,
      `ip saddr ${victim.host} meta l4proto { tcp, udp } drop`,
      `ip daddr ${victim.host} meta l4proto { tcp, udp } th sport 7946 drop`,
    ),
  )
  await everywhere(others, sees(victim.name, 'failed'))
  const took = performance.now() - began
  rules('flush ruleset')
  await everywhere(agents, async agent => (await members(agent)).filter(isAlive).length === agents.length)
  return took
}

/** Fires events from agents in turn, and notes when each agent hands each of them out. */
async function deliverEvents(agents: readonly Agent[], count: number): Promise<number[]> {
  const firedAt = new Map<string, number>()
  const took: number[] = []
  for (const agent of agents)
    await agent.client.stream('user', event => {
      const at = firedAt.get(String(event.Name))
      if (at !== undefined) took.push(performance.now() - at)
    })
  for (let n = 0; n < count; n++) {
    const name = `bench-${n}`
    firedAt.set(name, performance.now())
    await agents[n % agents.length]!.client.ask('event', { Name: name, Payload: new Uint8Array(100), Coalesce: false })
    await sleep(100)
  }
  const end = performance.now() + 30_000
  while (took.length < count * agents.length && performance.now() < end) await sleep(20)
  // What never came counts as what came last.
  while (took.length < count * agents.length) took.push(30_000)
  return took
}

async function quietly(agents: readonly Agent[], seconds: number) {
  await sleep(SETTLE)
  const before = { bytes: bytesSent(), processor: agents.map(processorSeconds), at: performance.now() }
  await sleep(seconds * 1_000)
  const elapsed = (performance.now() - before.at) / 1_000
  const processor = agents.map((agent, index) => processorSeconds(agent) - before.processor[index]!)
  return {
    residentMb: mean(agents.map(residentMb)),
    processorPercent: (mean(processor) / elapsed) * 100,
    bytesPerSecond: (bytesSent() - before.bytes) / elapsed / agents.length,
  }
}
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** A fifth of all packets between agents is lost, and one agent in ten is stopped for two to ten seconds, again and again. */
async function underLoss(agents: readonly Agent[], seconds: number): Promise<number> {
  if (seconds === 0) return 0
  const random = seededRandom(1)
  const lose = 'numgen random mod 100 < 20 drop'
  rules(table(`meta l4proto { tcp, udp } th dport 7946 ${lose}`, `meta l4proto { tcp, udp } th sport 7946 ${lose}`))
  const end = performance.now() + seconds * 1_000
  let falsely = 0
  const held = new Map<string, boolean>()
  const stopped = new Set<Agent>()
  const looking = agents.map(async agent => {
    while (performance.now() < end) {
      const seen = stopped.has(agent) ? [] : await members(agent).catch(() => [])
      for (const { name, status } of seen) {
        const key = `${agent.name} ${name}`
        if (status === 'failed' && held.get(key) !== true) falsely += 1
        held.set(key, status === 'failed')
      }
      await sleep(500)
    }
  })
  const stopping = Array.from({ length: Math.max(1, Math.round(agents.length / 10)) }, async (_, lane) => {
    const mine = agents.filter((_agent, index) => index % Math.max(1, Math.round(agents.length / 10)) === lane)
    while (performance.now() < end - 12_000) {
      const agent = random.pick(mine)!
      stopped.add(agent)
      agent.process.kill('SIGSTOP')
      await sleep(2_000 + random.int(8_000))
      agent.process.kill('SIGCONT')
      stopped.delete(agent)
      await sleep(1_000 + random.int(2_000))
    }
  })
  await Promise.all([...looking, ...stopping])
  rules('flush ruleset')
  return falsely
}

/** Dropped where they come in: dropped on the way out they would be an error to who sends them. */
const table = (...lines: readonly string[]): string =>
  `table ip bench { chain in { type filter hook input priority 0; ${lines.join('; ')}; } }`
function rules(text: string): void {
  execFileSync('nft', ['-f', '-'], { input: `${text}\n`, stdio: ['pipe', 'ignore', 'inherit'] })
}
