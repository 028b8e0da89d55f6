/**
 * Judges what the members of a group did, both sides of every partition summed. Pure: it is given what each process wrote down of itself, and knows
 * nothing of daemons. All times are of the one wall clock that every process of a machine shares, in milliseconds.
 */
export interface Trace {
  /** How many may be down at once. */
  readonly k: number
  readonly happenings: readonly Happening[]
  readonly sightings: readonly Sighting[]
}

export type Happening = { readonly node: string; readonly at: number } & (
  | { readonly what: 'permit-taken' | 'permit-returned'; readonly token: number }
  /** Out of service from here on; in service again. */
  | { readonly what: 'disrupt-begin' | 'disrupt-end'; readonly token: number }
  /** An image was put in place, forward or back. */
  | { readonly what: 'activated'; readonly token: number; readonly generation: number; readonly image: string }
  /** The program in the slot says of itself that it runs, or that it was told to stop. */
  | { readonly what: 'running'; readonly image: string }
  | { readonly what: 'stopped' }
  /** The operator is about to say that this node counts no more. */
  | { readonly what: 'written-off' }
)

/** What a member was told by a majority of voters, somewhere between its question and the answer. */
export interface Sighting {
  readonly by: string
  readonly asked: number
  readonly answered: number
  readonly epoch: number
  readonly version: number
  readonly generation: number
  readonly nextToken: number
  readonly permits: readonly number[]
  /** All of the value: two of one version are the same. */
  readonly content: string
}

export interface Interval {
  readonly node: string
  readonly token: number
  readonly begin: number
  /** Infinite while it lasts. */
  readonly end: number
}

/** A re-read of the permit is good for this long (`ACT_WITHIN` of rollout/replacement). */
const ACT_WITHIN = 5_000

/** What is wrong with a trace, in sentences that begin with the name of what is violated. */
export function examine(trace: Trace): string[] {
  return [...budget(trace), ...tokens(trace), ...outages(trace), ...history(trace), ...acknowledged(trace)]
}

/** Times out of service as the daemons had it, from the first drain under a token until it was about to go back. */
export function disruptionsOf({ happenings }: Trace): Interval[] {
  const found = new Map<string, Interval>()
  for (const happening of inOrder(happenings)) {
    const { node, at } = happening
    if (happening.what === 'written-off') {
      for (const [key, open] of found) if (open.node === node && open.end > at) found.set(key, { ...open, end: at })
    }
    if (happening.what !== 'disrupt-begin' && happening.what !== 'disrupt-end') continue
    const { token } = happening
    const key = `${node} ${token}`
    const before = found.get(key)
    if (happening.what === 'disrupt-begin') {
      if (before === undefined) found.set(key, { node, token, begin: at, end: Number.POSITIVE_INFINITY })
    } else if (before?.end === Number.POSITIVE_INFINITY) found.set(key, { ...before, end: at })
  }
  return [...found.values()]
}

/** Times in which no program ran, as the programs had it; before the first start there was nothing to be missed. */
export function outagesOf({ happenings }: Trace): Omit<Interval, 'token'>[] {
  const open = new Map<string, number>()
  const found: Omit<Interval, 'token'>[] = []
  const close = (node: string, end: number): void => {
    const begin = open.get(node)
    if (begin !== undefined) found.push({ node, begin, end })
    open.delete(node)
  }
  for (const { node, at, what } of inOrder(happenings)) {
    if (what === 'stopped' && !open.has(node)) open.set(node, at)
    if (what === 'running' || what === 'written-off') close(node, at)
  }
  for (const node of [...open.keys()]) close(node, Number.POSITIVE_INFINITY)
  return found
}

/** The most intervals that there were at any one moment, and when that was first so. */
export function mostAtOnce(list: readonly Pick<Interval, 'node' | 'begin' | 'end'>[]): { count: number; at: number } {
  let most = { count: 0, at: 0 }
  for (const begin of list.map(interval => interval.begin).sort((a, b) => a - b)) {
    const nodes = new Set(list.filter(other => other.begin <= begin && begin < other.end).map(({ node }) => node))
    if (nodes.size > most.count) most = { count: nodes.size, at: begin }
  }
  return most
}

/** I1: no more than K at once, by what the daemons say and by what the programs say. */
function* budget(trace: Trace): Generator<string> {
  const disrupted = mostAtOnce(disruptionsOf(trace))
  if (disrupted.count > trace.k)
    yield `I1: ${disrupted.count} members are out of service at ${disrupted.at}, and K is ${trace.k}`
  const down = mostAtOnce(outagesOf(trace))
  if (down.count > trace.k) yield `I1: ${down.count} programs are down at ${down.at}, and K is ${trace.k}`
}

/** I2: each token is one node's, is used once, and a node's tokens grow; nobody goes down under a token that it was not given. */
function* tokens(trace: Trace): Generator<string> {
  const owners = new Map<number, string>()
  const taken = new Map<string, { token: number; at: number }>()
  const used = new Set<string>()
  for (const happening of inOrder(trace.happenings)) {
    const { node, at } = happening
    if (!('token' in happening)) continue
    const { token } = happening
    const owner = owners.get(token)
    if (owner !== undefined && owner !== node) yield `I2: token ${token} is used by ${owner} and by ${node}`
    owners.set(token, node)
    if (happening.what === 'permit-taken') {
      const before = taken.get(node)
      if (before !== undefined && token < before.token)
        yield `I2: ${node} is given token ${token} after token ${before.token}`
      taken.set(node, { token, at })
    }
    if (happening.what === 'disrupt-begin' && taken.get(node)?.token !== token)
      yield `I2: ${node} goes out of service at ${at} under token ${token}, which it was not given`
    if (happening.what === 'activated') {
      const use = `${token} ${happening.image}`
      if (used.has(use)) yield `I2: token ${token} is used twice for the same image`
      used.add(use)
    }
  }
}

/** Whatever stops a program is a disruption under a permit, of the newest generation that a quorum was seen to hold. */
function* outages(trace: Trace): Generator<string> {
  const disruptions = disruptionsOf(trace)
  for (const { node, begin, end } of outagesOf(trace)) {
    const within = disruptions.find(d => d.node === node && d.begin <= begin && end <= d.end)
    if (within === undefined) {
      yield `I2: the program of ${node} is down from ${begin} to ${end}, outside of any permit`
      continue
    }
    const done = trace.happenings.find(h => h.what === 'activated' && h.token === within.token && h.at >= begin)
    if (done?.what !== 'activated') continue
    const later = trace.sightings.find(s => s.generation > done.generation && s.answered < begin - ACT_WITHIN)
    if (later !== undefined)
      yield `I3: ${node} goes down at ${begin} for generation ${done.generation}, and ${later.by} knew of generation ${later.generation} at ${later.answered}`
  }
}

/** One history: of one version there is one value, and no answer is older than one that was there before its question. */
function* history({ sightings }: Trace): Generator<string> {
  const contents = new Map<string, Sighting>()
  for (const sighting of sightings) {
    const name = `${sighting.epoch}.${sighting.version}`
    const known = contents.get(name)
    if (known === undefined) contents.set(name, sighting)
    else if (known.content !== sighting.content)
      yield `lost value: ${known.by} and ${sighting.by} were told two values of version ${name}`
  }
  let newest: Sighting | undefined
  const answered = [...sightings].sort((a, b) => a.answered - b.answered)
  let next = 0
  for (const sighting of [...sightings].sort((a, b) => a.asked - b.asked)) {
    for (; next < answered.length && answered[next]!.answered < sighting.asked; next++)
      if (newest === undefined || isAfter(answered[next]!, newest)) newest = answered[next]!
    if (newest === undefined) continue
    if (isAfter(newest, sighting))
      yield `lost value: ${sighting.by} was told version ${sighting.epoch}.${sighting.version} after ${newest.by} had been told ${newest.epoch}.${newest.version}`
    else if (sighting.nextToken < newest.nextToken || sighting.generation < newest.generation)
      yield `lost value: version ${sighting.epoch}.${sighting.version} is behind version ${newest.epoch}.${newest.version}`
  }
}

/** What a member was told to be committed every later reader finds. */
function* acknowledged(trace: Trace): Generator<string> {
  const disruptions = disruptionsOf(trace)
  for (const happening of trace.happenings) {
    const { node, at } = happening
    if (happening.what === 'permit-returned') {
      const back = trace.sightings.find(s => s.asked > at && s.permits.includes(happening.token))
      if (back !== undefined) yield `lost value: token ${happening.token} is held again at ${back.answered}`
    }
    if (happening.what !== 'permit-taken') continue
    const { token } = happening
    const forgotten = trace.sightings.find(s => s.asked > at && s.nextToken <= token)
    if (forgotten !== undefined) yield `lost value: token ${token} is not granted any more at ${forgotten.answered}`
    const held = disruptions.find(d => d.node === node && d.token === token)
    if (held === undefined) continue
    const dropped = trace.sightings.find(s => s.asked > at && s.answered < held.end && !s.permits.includes(token))
    if (dropped !== undefined)
      yield `lost value: ${node} is out of service under token ${token}, and the register has it no more at ${dropped.answered}`
  }
}

const inOrder = <T extends { readonly at: number }>(list: readonly T[]): T[] => [...list].sort((a, b) => a.at - b.at)
const isAfter = (a: Sighting, b: Sighting): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version)
