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
  type Where,
} from './fleets.ts'
import { dropOnTheWay, type Place, undisturbed } from './lan.ts'

/** What is measured of one kind of agent at one size. Times in milliseconds. */
export interface Measured {
  readonly joined: number
  readonly crash: readonly number[]
  readonly silent: readonly number[]
  readonly events: readonly number[]
  /** Pairs of an observer and a member that was up and that it held for failed, counted anew each time. */
  readonly falselyFailed: number
  /** How many different members that were. */
  readonly membersFalselyFailed: number
  readonly residentMb: number
  /** Of a core, idle. */
  readonly processorPercent: number
  /** Sent by each agent while nothing happens, with what its connections cost below it. */
  readonly bytesPerSecond: number
}

export interface Settings extends Where {
  readonly count: number
  readonly crashes: number
  readonly silences: number
  readonly events: number
  readonly quietSeconds: number
  readonly lossSeconds: number
}

/** Agents are asked this often whom they hold for failed. Milliseconds. */
const LOOK_EVERY = 100
/** A young fleet is not idle: what the way in has left behind is closed and collected within a minute and a quarter. Milliseconds. */
const SETTLE = 75_000
/** Between one fault and the next, so that the one before is over for everybody. Milliseconds. */
const BETWEEN = 8_000

export async function measure(system: System, settings: Settings): Promise<Measured> {
  const { count, place } = settings
  const say = (what: string): void =>
    void process.stderr.write(`${new Date().toISOString()} ${system.name} ${count}: ${what}\n`)
  say('starting')
  const agents = await startFleet(system, count - 1, settings)
  try {
    const began = performance.now()
    agents.push(await startAgent(system, count - 1, settings))
    await everywhere(agents, async agent => (await members(agent)).filter(isAlive).length === count)
    const joined = performance.now() - began
    say(`all see all after ${Math.round(joined)} ms; quiet`)
    const quiet = await quietly(agents, settings.quietSeconds)
    const events = await deliverEvents(agents, settings.events)
    // The first of the fleet is spared: the others join through it.
    const victim = (n: number): number => 1 + ((n * 3) % (count - 1))
    const crash: number[] = []
    for (let n = 0; n < settings.crashes; n++) {
      crash.push(await crashOne(system, agents, victim(n), settings))
      say(`a crash was seen by all after ${Math.round(crash.at(-1)!)} ms`)
    }
    const silent: number[] = []
    for (let n = 0; n < settings.silences; n++) {
      silent.push(await silenceOne(agents, victim(n + settings.crashes), place))
      say(`a silent host was seen by all after ${Math.round(silent.at(-1)!)} ms`)
    }
    const loss = await underLoss(agents, settings.lossSeconds, place)
    say(`${loss.falselyFailed} times a member was held for failed that was not`)
    return { joined, crash, silent, events, ...loss, ...quiet }
  } finally {
    undisturbed(place)
    await endFleet(agents)
  }
}

const isAlive = ({ status }: { status: string }): boolean => status === 'alive'

/** Asks each agent until it holds there, and then no more. */
async function everywhere(agents: readonly Agent[], holds: (agent: Agent) => Promise<boolean>): Promise<void> {
  const end = performance.now() + 180_000
  await Promise.all(
    agents.map(async agent => {
      while (!(await holds(agent).catch(() => false))) {
        if (performance.now() > end) throw new Error(`${agent.name} does not see it after three minutes`)
        await sleep(LOOK_EVERY)
      }
    }),
  )
}
const sees = (name: string, status: string) => async (agent: Agent) =>
  (await members(agent, name))[0]?.status === status

async function crashOne(system: System, agents: Agent[], index: number, where: Where): Promise<number> {
  const victim = agents[index]!
  const others = agents.filter(agent => agent !== victim)
  victim.client.close()
  await sleep(BETWEEN)
  const began = performance.now()
  victim.process.kill('SIGKILL')
  await everywhere(others, sees(victim.name, 'failed'))
  const took = performance.now() - began
  agents[index] = await startAgent(system, index, where)
  await everywhere(others, sees(victim.name, 'alive'))
  return took
}

/** No packet of one host gets through, either way, as when its cable is pulled. */
async function silenceOne(agents: readonly Agent[], index: number, place: Place): Promise<number> {
  const victim = agents[index]!
  const others = agents.filter(agent => agent !== victim)
  await sleep(BETWEEN)
  const began = performance.now()
  dropOnTheWay(place, `ip saddr ${victim.host} drop`, `ip daddr ${victim.host} drop`)
  await everywhere(others, sees(victim.name, 'failed'))
  const took = performance.now() - began
  undisturbed(place)
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
  const sent = (): number => agents.reduce((sum, agent) => sum + bytesSent(agent), 0)
  const before = { bytes: sent(), processor: agents.map(processorSeconds), at: performance.now() }
  await sleep(seconds * 1_000)
  const elapsed = (performance.now() - before.at) / 1_000
  const processor = agents.map((agent, index) => processorSeconds(agent) - before.processor[index]!)
  return {
    residentMb: mean(agents.map(residentMb)),
    processorPercent: (mean(processor) / elapsed) * 100,
    bytesPerSecond: (sent() - before.bytes) / elapsed / agents.length,
  }
}
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

/** A fifth of all packets between agents is lost, and one agent in ten is stopped for two to ten seconds, again and again. */
async function underLoss(agents: readonly Agent[], seconds: number, place: Place) {
  if (seconds === 0) return { falselyFailed: 0, membersFalselyFailed: 0 }
  const random = seededRandom(1)
  dropOnTheWay(place, 'numgen random mod 100 < 20 drop')
  const end = performance.now() + seconds * 1_000
  let falsely = 0
  const who = new Set<string>()
  const held = new Map<string, boolean>()
  const stopped = new Set<Agent>()
  const looking = agents.map(async agent => {
    while (performance.now() < end) {
      const seen = stopped.has(agent) ? [] : await members(agent).catch(() => [])
      for (const { name, status } of seen) {
        const key = `${agent.name} ${name}`
        if (status === 'failed' && held.get(key) !== true) {
          falsely += 1
          who.add(name)
        }
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
  undisturbed(place)
  return { falselyFailed: falsely, membersFalselyFailed: who.size }
}
