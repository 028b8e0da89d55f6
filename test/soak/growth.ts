import type { Gauges } from './gauges.ts'

/** Heap after a collection may be this many times what it was. */
const HEAP = 1.1
/** Files and other resources come and go with links that are made anew; more than these are a leak. */
const SLACK = 10

/** What a process held in a quiet moment, and how long it had run then, in milliseconds. */
export interface Sample {
  readonly age: number
  readonly gauges: Gauges
}

/** One process of a daemon, from its start to its end or that of the soak. */
export interface Life {
  readonly daemon: string
  readonly samples: readonly Sample[]
}

/** What a process held when it had warmed up, and what it held last. */
export interface Growth {
  readonly daemon: string
  readonly from: Sample
  readonly to: Sample
}

/** Of the lives that were seen twice after their first `warmUp` milliseconds: how they grew between the first time and the last. */
export function growths(lives: readonly Life[], warmUp: number): Growth[] {
  return lives.flatMap(({ daemon, samples }) => {
    const [from, ...later] = samples.filter(({ age }) => age >= warmUp)
    const to = later.at(-1)
    return from === undefined || to === undefined ? [] : [{ daemon, from, to }]
  })
}

/** What grew too much, in a sentence each. */
export function faultsOf({ daemon, from, to }: Growth): string[] {
  const faults: string[] = []
  const since = `between minute ${minutes(from.age)} and minute ${minutes(to.age)} of its life`
  if (to.gauges.heap > from.gauges.heap * HEAP)
    faults.push(`the heap of ${daemon} grew from ${mib(from.gauges.heap)} to ${mib(to.gauges.heap)} MiB ${since}`)
  for (const what of ['files', 'resources'] as const)
    if (to.gauges[what] > from.gauges[what] + SLACK)
      faults.push(`${daemon} had ${from.gauges[what]} ${what} and has ${to.gauges[what]}, ${since}`)
  return faults
}

export const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(1)
export const minutes = (milliseconds: number): string => (milliseconds / 60_000).toFixed(1)
