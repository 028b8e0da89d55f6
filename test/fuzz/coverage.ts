import { type Profiler, Session } from 'node:inspector'

/** Which parts of our code have run: V8's precise block coverage, which needs no instrumented build. */
export interface Coverage {
  /** What ran since the last call and is not counted yet; undefined when there is no such thing. */
  take(): Fresh | undefined
  /** Counts it from now on. */
  count(fresh: Fresh): void
  /** Parts of functions that are counted. */
  parts(): number
  /** Forgets what was counted. */
  clear(): void
  /** Runs something at full speed, unwatched: counting slows code down several times. */
  without<T>(work: () => Promise<T>): Promise<T>
}

/** The bytes of source that ran, by function. */
export type Fresh = ReadonlyMap<string, Uint8Array>

/** `ours`: the scripts that count, by URL. */
export function watchCoverage(ours: (url: string) => boolean): Coverage {
  const session = new Session()
  session.connect()
  const post = (method: string, params?: object): unknown => {
    let answer: unknown
    // The inspector of one's own thread answers before it returns.
    session.post(method, params, (error, result) => {
      if (error !== null) throw new Error(`${method}: ${error.message}`)
      answer = result
    })
    return answer
  }
  post('Profiler.enable')
  const start = (): unknown => post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  start()
  const covered = new Map<string, Uint8Array>()

  return {
    take() {
      const { result } = post('Profiler.takePreciseCoverage') as { result: Profiler.ScriptCoverage[] }
      const fresh = new Map<string, Uint8Array>()
      for (const { url, scriptId, functions } of result) {
        if (!ours(url)) continue
        for (const { ranges } of functions) {
          const ran = paint(ranges)
          const key = `${scriptId}:${ranges[0]!.startOffset}:${ranges[0]!.endOffset}`
          const known = covered.get(key)
          if (ran.some((byte, at) => byte === 1 && known?.[at] !== 1)) fresh.set(key, ran)
        }
      }
      return fresh.size > 0 ? fresh : undefined
    },
    count(fresh) {
      for (const [key, ran] of fresh) {
        const known = covered.get(key)
        if (known === undefined) covered.set(key, ran)
        else for (const [at, byte] of ran.entries()) known[at]! |= byte
      }
    },
    parts() {
      let parts = 0
      for (const bytes of covered.values())
        for (let at = 0; at < bytes.length; at++) if (bytes[at] === 1 && bytes[at - 1] !== 1) parts++
      return parts
    },
    clear: () => covered.clear(),
    async without(work) {
      post('Profiler.stopPreciseCoverage')
      try {
        return await work()
      } finally {
        start()
      }
    },
  }
}

/** Ranges are nested, the outermost first, and each says of its bytes what those around it do not know better. */
function paint(ranges: readonly Profiler.CoverageRange[]): Uint8Array {
  const [{ startOffset: from, endOffset: to }] = ranges as [Profiler.CoverageRange]
  const bytes = new Uint8Array(to - from)
  for (const { startOffset, endOffset, count } of ranges)
    bytes.fill(count > 0 ? 1 : 0, startOffset - from, endOffset - from)
  return bytes
}
