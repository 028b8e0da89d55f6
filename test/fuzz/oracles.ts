import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FleetError } from '../../protocol/index.ts'
import { Broken, isRefusal, type Target } from './target.ts'

/** Nothing that comes from outside may hold the loop for longer, milliseconds. */
export const STALL = 50

const BASES: readonly object[] = [
  Object.prototype,
  Array.prototype,
  Uint8Array.prototype,
  Map.prototype,
  String.prototype,
  Function.prototype,
]
const owned = (): number => BASES.reduce<number>((sum, base) => sum + Reflect.ownKeys(base).length, 0)

/** What came of one input. */
export interface Outcome {
  /** How it was refused; undefined when it was taken. */
  readonly refusal: string | undefined
  /** The longest that it held the loop, milliseconds. */
  readonly held: number
}

/** Runs an input and throws `Broken` unless it is taken, or refused as the target may refuse. */
export async function check(target: Target, input: Uint8Array): Promise<Outcome> {
  const before = owned()
  const compiledBefore = compiled
  const stopwatch = startStopwatch()
  let refusal: string | undefined
  let value: unknown
  try {
    value = target.run(input)
    if (value instanceof Promise) {
      stopwatch.follow()
      value = await value
    }
  } catch (error) {
    if (error instanceof Broken) throw error
    if (!isRefusal(error, target))
      throw new Broken(`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
        cause: error,
      })
    refusal = `${(error as FleetError).code} ${(error as FleetError).message}`
  }
  const held = stopwatch.stop()
  if (owned() !== before) throw new Broken('changed the prototype of everything')
  if (compiled !== compiledBefore) throw new Broken('compiled code out of what it was given')
  if (refusal === undefined) await target.verify?.(value as never, input)
  return { refusal, held }
}

/**
 * Times how long the loop is held: what runs in one go, with what it leaves for the microtasks. Of the clock and the process's own time
 * the smaller counts: the clock also runs while the machine does something else, and the process's time also holds that of V8's helpers.
 */
function startStopwatch() {
  let since = performance.now()
  let spent = process.cpuUsage()
  let longest = 0
  let running = true
  const lap = (): void => {
    const now = performance.now()
    const { user, system } = process.cpuUsage(spent)
    longest = Math.max(longest, Math.min(now - since, (user + system) / 1_000))
    since = now
    spent = process.cpuUsage()
  }
  return {
    /** From now on others get their turn in between. */
    follow() {
      const tick = (): void => {
        if (!running) return
        lap()
        setImmediate(tick)
      }
      setImmediate(tick)
    },
    stop() {
      running = false
      lap()
      return longest
    },
  }
}

let compiled = 0
/**
 * Counts what is compiled from text from here on. zod compiles its schemas when they are first used, which is ours and no
 * stranger's text.
 */
export function watchCompiling(): void {
  const count = (): void => {
    if (!/[\\/]node_modules[\\/]zod[\\/]/.test(new Error().stack ?? '')) compiled += 1
  }
  globalThis.Function = new Proxy(Function, {
    construct(real, args, self) {
      count()
      return Reflect.construct(real, args, self)
    },
    apply(real, self, args) {
      count()
      return Reflect.apply(real, self, args)
    },
  })
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes of the heap, and outside it, that are in use after a collection. */
export function heapInUse(): number {
  collect()
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
