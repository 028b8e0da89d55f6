import { millis, type NodeId, seededRandom } from '../../protocol/index.ts'
import { apply, isRefusal } from '../../rollout/index.ts'
import { EPOCH_START, nodesOf, planOf, V1, V2 } from '../../test/sim/ledger/fleet.ts'
import { boot, hear } from '../../test/sim/ledger/hosts.ts'
import { createWorld } from '../../test/sim/ledger/world.ts'
import type { Figure } from '../report.ts'
import { boundOf, mean, type Setting } from './setting.ts'

/** What daemons do in a fleet of this size (daemon/rollout/groups.ts): 5 s for fifty of them, and all together no more often. Milliseconds. */
const readEvery = (hosts: number): number => 5_000 * Math.max(1, hosts / 50)
const VOTERS = 5

interface Turn {
  asks: number
  granted?: true
  down?: number
  up?: number
}

/** The real machines, proposers and voters of so many hosts in virtual time, with nothing in their way but each other. Ends when the rollout is done. */
export function simulate(setting: Setting, target: number, seed = 1): Figure[] {
  const { count, budget, minHealthy } = setting
  const plan = planOf({
    ...{ hosts: count, k: budget, canary: 0, maxFailed: 1, generation: 1, image: V2, previous: V1, force: false },
    minHealthy,
  })
  const world = createWorld(
    {
      ...{ voters: VOTERS, hosts: count, k: budget, canary: 0, maxFailed: 1, loss: 0, firstEver: false },
      ...{
        notAfter: undefined,
        losesOne: false,
        losesMajority: false,
        clocksJump: false,
        readEvery: readEvery(count),
        well: () => true,
      },
    },
    seededRandom(seed),
    undefined,
  )
  world.faulty = false
  world.plans.set(plan.id, plan)
  world.watch.meant(plan)
  const begun = apply(world.begin, { type: 'start', plan, now: millis(EPOCH_START) }, plan.body)
  if (isRefusal(begun)) throw new Error(begun.reason)
  const turns = new Map<NodeId, Turn>(nodesOf(count).map(node => [node, { asks: 0 }]))
  const order: NodeId[] = []
  world.learn = value => {
    if (value.version <= world.watch.newest().version) return
    world.watch.committed(value, world.plan, world.now)
    for (const { node } of value.permits) {
      const turn = turns.get(node)!
      if (turn.granted !== undefined) continue
      turn.granted = true
      order.push(node)
    }
    for (const host of world.all) world.at(host, world.latency(), () => hear(world, host, value))
  }
  world.onTurn = ({ node }, what) => {
    const turn = turns.get(node)!
    if (what === 'asks') turn.asks += 1
    else turn[what] ??= world.now
  }
  for (const host of world.all) {
    host.first = begun
    if (host.memory !== null) host.memory = { ...host.memory, first: begun, value: begun }
    host.disk = host.memory
    boot(world, host)
  }
  world.learn(begun)

  while (world.watch.newest().phase !== 'done') {
    const event = world.agenda.next()
    if (event === undefined) throw new Error('nothing is left to happen')
    world.now = Math.max(world.now, event.at)
    event.run()
  }
  if (world.watch.violations.length > 0) throw new Error(world.watch.violations.join('; '))

  const all = [...turns.values()]
  const seconds = (world.now - EPOCH_START) / 1_000
  const disrupt = mean(all.map(({ down, up }) => (up! - down! - minHealthy) / 1_000))
  const bound = boundOf(setting, disrupt)
  const asks = all.map(turn => turn.asks)
  const wanted = [...turns.keys()]
  const late = order.map((node, at) => at - wanted.indexOf(node))
  return [
    {
      what: `${count} simulated hosts, ${budget} at a time, each healthy for ${minHealthy / 1_000} s`,
      value: seconds,
      unit: 's',
    },
    { what: 'a host is down for, mean', value: disrupt, unit: 's' },
    { what: 'bound: ceil(N/K) * (down + healthy)', value: bound, unit: 's' },
    {
      what: 'time / bound',
      value: seconds / bound,
      unit: 'x',
      target: `at most ${target}`,
      held: seconds / bound <= target,
    },
    { what: 'questions for a permit, mean of a host', value: mean(asks), unit: '' },
    {
      what: 'questions for a permit, most of a host',
      value: Math.max(...asks),
      unit: '',
      target: 'at most 20',
      held: Math.max(...asks) <= 20,
    },
    {
      what: 'most places that a host went after its turn',
      value: Math.max(...late),
      unit: '',
      target: `at most ${2 * budget}`,
      held: Math.max(...late) <= 2 * budget,
    },
  ]
}
