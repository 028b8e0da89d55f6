import { setTimeout as sleep } from 'node:timers/promises'

/** Bytes that are read before a rest. */
const PIECE = 1024 * 1024

/** Holds whoever reads back to so many bytes a second, in rests that are long enough not to cost anything. */
export function createReadPace(rate: number, signal: AbortSignal): (bytes: number) => Promise<void> {
  let read = 0
  return async bytes => {
    read += bytes
    if (read < PIECE) return
    const rest = (read / rate) * 1_000
    read = 0
    await sleep(rest, undefined, { signal, ref: false })
  }
}
