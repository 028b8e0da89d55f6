import type { Daemon } from './daemons.ts'

/** A time in which a node was voluntarily out of service, as its daemon logged it: from the drain until it offered its permit back. */
export interface Disruption {
  readonly name: string
  readonly token: number
  /** Milliseconds of the one clock of this host. */
  readonly begin: number
  /** Infinite while it lasts. */
  readonly end: number
}

const marks = new WeakMap<Daemon, number>()

/** What the logs of these daemons say of disruptions, since `forget` was last called. */
export function disruptions(daemons: readonly Daemon[]): { list(): Disruption[]; forget(): void } {
  return {
    list: () =>
      daemons
        .flatMap(daemon => read(daemon.name, daemon.log().slice(marks.get(daemon) ?? 0)))
        .sort((a, b) => a.begin - b.begin),
    forget() {
      for (const daemon of daemons) marks.set(daemon, daemon.log().length)
    },
  }
}

/** The most of them that there were at any one moment. */
export function mostAtOnce(list: readonly Disruption[]): number {
  return Math.max(0, ...list.map(({ begin }) => list.filter(other => other.begin <= begin && begin < other.end).length))
}

function read(name: string, log: string): Disruption[] {
  const found = new Map<number, Disruption>()
  for (const line of log.split('\n')) {
    if (!line.includes('"disrupt-')) continue
    const { event, token, time } = JSON.parse(line) as { event: string; token: number; time: string }
    const at = Date.parse(time)
    const before = found.get(token)
    if (event === 'disrupt-begin') found.set(token, before ?? { name, token, begin: at, end: Number.POSITIVE_INFINITY })
    // Said again after a restart: the first counts.
    else if (before?.end === Number.POSITIVE_INFINITY) found.set(token, { ...before, end: at })
  }
  return [...found.values()]
}
