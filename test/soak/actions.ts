import type { Fleet } from './fleet.ts'

/** One thing that happens to a fleet on an ordinary bad day. `weight`: how often it is chosen, next to the others. */
export interface Action {
  readonly name: string
  readonly weight: number
  /** Gives false when it could not be done now. What it does to the fleet has to hold at the end; how fast it was does not count. */
  run(fleet: Fleet, serial: number): Promise<boolean>
}

const succeeded = ({ code }: { code: number }): boolean => code === 0

export const ACTIONS: readonly Action[] = [
  {
    name: 'tags',
    weight: 4,
    async run(fleet, serial) {
      const [daemon] = fleet.shuffled()
      return succeeded(await daemon!.ctl('tags', '--set', `soak=${serial}`))
    },
  },
  {
    name: 'event',
    weight: 8,
    async run(fleet, serial) {
      const [daemon] = fleet.shuffled()
      const done = succeeded(await daemon!.ctl('event', `soak-${serial}`, 'x'.repeat(fleet.random.int(2_000))))
      if (done) fleet.fired.add(`soak-${serial}`)
      return done
    },
  },
  {
    name: 'query',
    weight: 4,
    async run(fleet, serial) {
      const [daemon] = fleet.shuffled()
      return succeeded(await daemon!.ctl('query', `soak-${serial}`, 'how are you', '--timeout', '1s'))
    },
  },
  {
    name: 'restart',
    weight: 1,
    async run(fleet) {
      const daemon = fleet.mortal()
      if (daemon === undefined) return false
      await fleet.restart(daemon, 'SIGTERM')
      return true
    },
  },
  {
    name: 'kill',
    weight: 1,
    async run(fleet) {
      const daemon = fleet.mortal()
      if (daemon === undefined) return false
      await fleet.restart(daemon, 'SIGKILL')
      return true
    },
  },
  {
    name: 'partition',
    weight: 1,
    async run(fleet) {
      if (fleet.parted()) return false
      fleet.part()
      return true
    },
  },
]

/** One of the actions, by weight. */
export function choose(fleet: Fleet): Action {
  let at = fleet.random.int(ACTIONS.reduce((sum, { weight }) => sum + weight, 0))
  for (const action of ACTIONS) {
    at -= action.weight
    if (at < 0) return action
  }
  throw new Error('the weights do not add up')
}
