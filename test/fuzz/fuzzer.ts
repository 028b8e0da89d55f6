import { type Random, seededRandom } from '../../protocol/index.ts'
import { loadCorpus } from './corpus.ts'
import type { Coverage } from './coverage.ts'
import { mutate } from './mutate.ts'
import { check, heapInUse, STALL } from './oracles.ts'
import { Broken, type Target } from './target.ts'

/** Inputs that are run between two looks at the coverage, which cost some milliseconds each. */
const BATCH = 256
/** Runs before the heap is measured for the first time: caches are full and code is compiled. */
const WARM_UP = 5_000
/** What the heap may grow by in a whole run: room for what the fuzzer itself keeps, and none for a leak of bytes per input. */
const GROWTH = 24 * 1024 * 1024
/** Ways of being refused that are told apart; a decoder that quotes its input would have no end of them. */
const MAX_KINDS = 100

export interface Finding {
  readonly reason: string
  readonly input: Uint8Array
}

export interface Report {
  readonly target: string
  /** Processor time that the process took, and how long it was by the clock: the machine may have had other things to do. */
  readonly seconds: { readonly processor: number; readonly clock: number }
  readonly executions: number
  /** How many were not refused. */
  readonly taken: number
  /** Parts of our source that were reached. */
  readonly parts: number
  /** The longest that one input took, the best of several tries. Milliseconds. */
  readonly slowest: number
  readonly heap: { readonly before: number; readonly after: number }
  readonly findings: readonly Finding[]
  /** Inputs that reach something that those before them do not, the smallest first. */
  readonly corpus: readonly Uint8Array[]
}

export interface Options {
  /** By the clock; on a busy machine longer, until the process has had half as many of processor time. */
  readonly seconds: number
  readonly seed: number
  readonly coverage: Coverage
  readonly tell: (line: string) => void
}

/** Runs mutated inputs for `seconds`, keeping those that reach new code to be mutated further. The same seed makes the same choices. */
export async function fuzz(target: Target, { seconds, seed, coverage, tell }: Options): Promise<Report> {
  const random = seededRandom(seed)
  const findings = new Map<string, Finding>()
  const pool: Uint8Array[] = []
  const refusals = createKinds()
  let executions = 0
  let taken = 0
  let slowest = 0
  /** What takes longer than this while it is watched is timed unwatched. Sinks slowly, so that one hiccup does not blind us. */
  let bar = 1
  let before: number | undefined

  /** True when it was refused in a way that is new. */
  const run = async (input: Uint8Array): Promise<boolean> => {
    executions += 1
    try {
      const outcome = await check(target, input)
      if (outcome.refusal === undefined) taken += 1
      if (outcome.held > bar) {
        // The watched time says little: the coverage slows code down, and collections and other programs come in between.
        const best = await coverage.without(() => fastest(target, input))
        slowest = Math.max(slowest, best)
        bar = Math.max(outcome.held, STALL)
        if (best > STALL) throw new Broken(`held the loop for ${Math.round(best)} ms`)
      }
      return outcome.refusal !== undefined && refusals.add(outcome.refusal)
    } catch (error) {
      const reason = (error as Error).message
      const kind = kindOf(reason.split('\n').slice(0, 2).join(' '))
      if (findings.has(kind)) return false
      findings.set(kind, { reason, input })
      tell(
        `${target.name}: finding after ${executions} runs, ${input.byteLength} bytes: ${reason.split('\n').slice(0, 4).join(' | ')}`,
      )
      return false
    }
  }

  const known = [...target.seeds(), ...loadCorpus(target.name)]
  coverage.clear()
  coverage.take()
  for (const input of known) {
    await run(input)
    const fresh = coverage.take()
    if (fresh !== undefined) coverage.count(fresh)
    pool.push(input)
  }
  const began = performance.now()
  const spent = startProcessorClock()
  let told = began
  while (performance.now() - began < seconds * 1000 || spent() < seconds / 2) {
    const batch = Array.from({ length: BATCH }, () => {
      const input = mutate(random, choose(random, pool), pool, target.maxBytes)
      return target.mend !== undefined && random.int(4) > 0 ? target.mend(input) : input
    })
    for (const input of batch) if (await run(input)) pool.push(input)
    const reached = coverage.take()
    if (reached !== undefined) {
      for (const input of batch) {
        await run(input)
        const fresh = coverage.take()
        if (fresh === undefined) continue
        coverage.count(fresh)
        pool.push(input)
      }
      // What no input reaches by itself has to do with what came before it, and would be new for ever.
      coverage.count(reached)
    }
    bar *= 0.999
    if (before === undefined && executions > WARM_UP) before = heapInUse()
    if (performance.now() - told > 60_000) {
      told = performance.now()
      tell(
        `${target.name}: ${executions} runs, ${pool.length} inputs, ${coverage.parts()} parts, ${Math.round(spent())} s`,
      )
    }
    // A target that never awaits would keep timers and signals from being heard.
    await new Promise(resolve => setImmediate(resolve))
  }
  const parts = coverage.parts()
  const corpus = await smallest(target, pool, coverage)
  pool.length = 0
  const after = heapInUse()
  const heap = { before: before ?? after, after }
  if (after - heap.before > GROWTH)
    findings.set('heap', { reason: `the heap grew from ${heap.before} to ${after} bytes`, input: new Uint8Array() })
  return {
    target: target.name,
    seconds: { processor: spent(), clock: (performance.now() - began) / 1000 },
    executions,
    taken,
    parts,
    slowest,
    heap,
    findings: [...findings.values()],
    corpus,
  }
}

/** Seconds of processor time that this process has taken since now. */
function startProcessorClock(): () => number {
  const since = process.cpuUsage()
  return () => {
    const { user, system } = process.cpuUsage(since)
    return (user + system) / 1e6
  }
}

/** Small inputs are run fast and their mutations hit something; the large ones get a turn now and then. */
function choose(random: Random, pool: readonly Uint8Array[]): Uint8Array {
  const newest = pool.slice(-64)
  const [one, other] = [random.pick(pool)!, random.pick(random.int(2) === 0 ? newest : pool)!]
  const [small, large] = one.byteLength <= other.byteLength ? [one, other] : [other, one]
  return random.int(16) === 0 && large.byteLength > 0 ? large : small
}

/** The best time of a few tries, because the machine has other things to do. Milliseconds. */
async function fastest(target: Target, input: Uint8Array): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let tries = 0; tries < 5; tries++) best = Math.min(best, (await check(target, input)).held)
  return best
}

/** Texts that differ in more than their numbers, digests and quotations. A bounded number of them. */
function createKinds() {
  const known = new Set<string>()
  return {
    /** True when there was none of its kind. */
    add(text: string): boolean {
      if (known.size >= MAX_KINDS || known.has(kindOf(text))) return false
      known.add(kindOf(text))
      return true
    },
  }
}

const kindOf = (text: string): string => text.slice(0, 500).replace(/"[^"]*"?|[0-9a-f]{8,}|\d+|12D3\w+/g, '#')

/** Those of the inputs that are needed to reach all that they reach together, beyond the target's seeds. */
async function smallest(target: Target, pool: readonly Uint8Array[], coverage: Coverage): Promise<Uint8Array[]> {
  coverage.clear()
  coverage.take()
  const refusals = createKinds()
  const isNews = async (input: Uint8Array): Promise<boolean> => {
    const outcome = await check(target, input).catch(() => undefined)
    const fresh = coverage.take()
    if (fresh !== undefined) coverage.count(fresh)
    const another = outcome?.refusal !== undefined && refusals.add(outcome.refusal)
    return fresh !== undefined || another
  }
  for (const seed of target.seeds()) await isNews(seed)
  const kept: Uint8Array[] = []
  for (const input of pool.toSorted((a, b) => a.byteLength - b.byteLength)) if (await isNews(input)) kept.push(input)
  return kept
}
