import { setFlagsFromString } from 'node:v8'

/** How often an idle daemon has its garbage collected. V8 only does so when it allocates, and a quiet daemon hardly does. Milliseconds. */
const EVERY = 300_000
/** Starting and joining leave more garbage than hours of quiet would. Milliseconds. */
const FIRST_AFTER = EVERY / 5

export interface Tidy {
  /** Collections so far. */
  collections(): number
  /** Bytes of the heap that were in use right after the latest; undefined before the first. */
  heapAfter(): number | undefined
  stop(): void
}

/**
 * Has the garbage collected now and then, and on SIGUSR2, and remembers what was left: whether a daemon grows can only be seen from
 * that. `gc` is there when node was started as the first line of dist/fleetd.js says; without it nothing is done.
 */
export function startTidying(gc: (() => void) | undefined): Tidy {
  let collections = 0
  let heapAfter: number | undefined
  const collect = (): void => {
    if (gc === undefined) return
    // It moves the heap together. V8's own collections do not: there are many of them while an image comes in, and they would each do it (docs/decisions/0042).
    setFlagsFromString('--compact-on-every-full-gc')
    gc()
    setFlagsFromString('--no-compact-on-every-full-gc')
    collections += 1
    heapAfter = process.memoryUsage().heapUsed
  }
  const interval = setInterval(collect, EVERY).unref()
  const first = setTimeout(collect, FIRST_AFTER).unref()
  process.on('SIGUSR2', collect)
  return {
    collections: () => collections,
    heapAfter: () => heapAfter,
    stop() {
      clearInterval(interval)
      clearTimeout(first)
      process.off('SIGUSR2', collect)
    },
  }
}
