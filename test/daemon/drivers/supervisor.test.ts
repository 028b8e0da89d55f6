import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RESTART, restartDelay } from '../../../daemon/drivers/backoff.ts'
import {
  createSupervisor,
  type Supervisor,
  type SupervisorEffect,
  type SupervisorInput,
} from '../../../daemon/drivers/supervisor.ts'
import { millis, seededRandom } from '../../../protocol/index.ts'

type Event =
  | { readonly do: 'start' | 'spawned' | 'fails' | 'exits' | 'gone' | 'wake' | 'stale' | 'adopt' }
  | { readonly do: 'stop'; readonly grace: number }
  | { readonly do: 'pass'; readonly time: number }

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.constantFrom('start', 'spawned', 'fails', 'exits', 'gone', 'wake', 'stale', 'adopt').map(name => ({ do: name })),
  fc.integer({ min: 0, max: 20_000 }).map(grace => ({ do: 'stop' as const, grace })),
  fc.integer({ min: 0, max: 60_000 }).map(time => ({ do: 'pass' as const, time })),
)

/** The host as the machine sees it: at most one process group, which begins, ends and is killed. */
function world(machine: Supervisor, events: readonly Event[]): string[] {
  const wrong: string[] = []
  let now = 0
  let group: { run: number; at: 'spawning' | 'running' | 'dead'; terminating: boolean } | undefined
  let wakeAt: number | undefined
  let stopped = true

  const take = (input: SupervisorInput): void => {
    const before = machine.view()
    const effects = machine.step(millis(now), input)
    for (const effect of effects) check(effect)
    const after = machine.view()
    if (after.state !== before.state && !effects.some(({ type }) => type === 'changed'))
      wrong.push(`${before.state} became ${after.state} unsaid`)
    if (after.state === 'backoff' && wakeAt === undefined) wrong.push('in backoff with no wake to come')
  }
  const check = (effect: SupervisorEffect): void => {
    if (effect.type === 'spawn') {
      if (group !== undefined) wrong.push(`run ${effect.run} began while run ${group.run} was ${group.at}`)
      if (stopped) wrong.push('began after it was stopped')
      group = { run: effect.run, at: 'spawning', terminating: false }
    } else if (effect.type === 'terminate') {
      if (group === undefined) wrong.push('terminated what is not there')
      else group.terminating = true
    } else if (effect.type === 'wakeAt') wakeAt = effect.at
  }

  for (const happens of events) {
    switch (happens.do) {
      case 'start':
        stopped = false
        take({ type: 'start' })
        break
      case 'stop':
        stopped = true
        take({ type: 'stop', grace: happens.grace })
        break
      case 'adopt':
        if (machine.view().run > 0) break
        stopped = false
        group = { run: 1, at: 'running', terminating: false }
        take({ type: 'adopt' })
        break
      case 'spawned':
        if (group?.at !== 'spawning') break
        group.at = 'running'
        take({ type: 'spawned', run: group.run })
        break
      case 'fails':
        if (group?.at !== 'spawning') break
        {
          const { run } = group
          group = undefined
          take({ type: 'ended', run, why: 'ENOENT' })
        }
        break
      case 'exits':
        if (group?.at !== 'running') break
        {
          const { run, terminating } = group
          if (terminating) group.at = 'dead'
          else group = undefined
          take({ type: 'ended', run, why: 'exit 1' })
        }
        break
      case 'gone':
        if (group?.terminating !== true) break
        {
          const { run } = group
          group = undefined
          take({ type: 'gone', run })
        }
        break
      case 'stale':
        for (const type of ['spawned', 'gone'] as const) take({ type, run: machine.view().run - 1 })
        take({ type: 'ended', run: machine.view().run - 1, why: 'long ago' })
        break
      case 'wake':
        wakeAt = undefined
        take({ type: 'wake' })
        break
      case 'pass':
        now += happens.time
        if (wakeAt !== undefined && now >= wakeAt) {
          wakeAt = undefined
          take({ type: 'wake' })
        }
        break
    }
  }
  if (group === undefined && !stopped && machine.view().state !== 'backoff')
    wrong.push(`nothing runs or waits to, though it is wanted; the machine is ${machine.view().state}`)
  if (group === undefined && stopped && machine.view().state !== 'stopped')
    wrong.push(`it is to be stopped and nothing is left, but the machine is ${machine.view().state}`)
  return wrong
}

describe('the supervisor machine', () => {
  it('never begins a run beside another or after a stop, and always comes back, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(event, { maxLength: 60 }), (seed, events) => {
        expect(world(createSupervisor(seededRandom(seed)), events)).toEqual([])
      }),
      { numRuns: 3_000 },
    )
  })

  it('is found out by that test when it believes what is said of an earlier run', () => {
    const gullible = (seed: number): Supervisor => {
      const machine = createSupervisor(seededRandom(seed))
      return {
        view: machine.view,
        step: (now, input) => machine.step(now, 'run' in input ? { ...input, run: machine.view().run } : input),
      }
    }
    const found = fc.check(
      fc.property(fc.integer(), fc.array(event, { maxLength: 60 }), (seed, events) => {
        expect(world(gullible(seed), events)).toEqual([])
      }),
      { numRuns: 3_000 },
    )
    expect(found.failed).toBe(true)
  })

  it('is found out by that test when it loses its wake', () => {
    const sleepy = (seed: number): Supervisor => {
      const machine = createSupervisor(seededRandom(seed))
      return { view: machine.view, step: (now, input) => machine.step(now, input).filter(e => e.type !== 'wakeAt') }
    }
    const found = fc.check(
      fc.property(fc.integer(), fc.array(event, { maxLength: 60 }), (seed, events) => {
        expect(world(sleepy(seed), events)).toEqual([])
      }),
      { numRuns: 3_000 },
    )
    expect(found.failed).toBe(true)
  })

  it('doubles the wait from 200 ms to 30 s with jitter down to its half', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 1, max: 1_000 }), (seed, failures) => {
        const full = Math.min(RESTART.last, RESTART.first * 2 ** Math.min(failures - 1, 30))
        const delay = restartDelay(failures, seededRandom(seed))
        expect(delay).toBeGreaterThanOrEqual(full / 2)
        expect(delay).toBeLessThanOrEqual(full)
      }),
    )
  })

  /** The wait after a program has run for each of these lengths in turn. */
  const waits = (ranFor: readonly number[]): number[] => {
    const machine = createSupervisor(seededRandom(1))
    let now = 0
    machine.step(millis(now), { type: 'start' })
    return ranFor.map(time => {
      machine.step(millis(now), { type: 'spawned', run: machine.view().run })
      now += time
      const effects = machine.step(millis(now), { type: 'ended', run: machine.view().run, why: 'exit 1' })
      const at = effects.find(effect => effect.type === 'wakeAt')!.at
      const wait = at - now
      now = at
      machine.step(millis(now), { type: 'wake' })
      expect(machine.view().state).toBe('starting')
      return wait
    })
  }

  it('waits longer after each quick end, and begins anew after a run of 10 s', () => {
    const [first, , third, afterLong] = waits([0, 9_999, 9_999, 10_000])
    expect(first).toBeLessThanOrEqual(200)
    expect(third).toBeGreaterThanOrEqual(400)
    expect(afterLong).toBeLessThanOrEqual(200)
  })

  it('never waits more than 30 s', () => {
    expect(Math.max(...waits(Array(40).fill(0)))).toBeLessThanOrEqual(30_000)
  })

  it('sends SIGKILL when the grace is over and not before', () => {
    const machine = createSupervisor(seededRandom(1))
    machine.step(millis(0), { type: 'start' })
    machine.step(millis(0), { type: 'spawned', run: 1 })
    expect(machine.step(millis(100), { type: 'stop', grace: 1_000 })).toContainEqual({ type: 'terminate', run: 1 })
    expect(machine.step(millis(1_099), { type: 'wake' })).toEqual([{ type: 'wakeAt', at: 1_100 }])
    expect(machine.step(millis(1_100), { type: 'wake' })).toContainEqual({ type: 'kill', run: 1 })
    expect(machine.view().reason).toBe('the program did not end within 1 s and is being killed')
    machine.step(millis(1_200), { type: 'gone', run: 1 })
    expect(machine.view()).toMatchObject({ state: 'stopped', reason: 'the program was stopped' })
  })
})
