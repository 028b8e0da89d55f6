import type { Coordinate, Millis } from '../protocol/index.ts'
import { isPlaced } from './coordinates.ts'

/** The first coordinate is said so long after it was known, milliseconds: by then a few measurements have gone into it. */
const FIRST = 5_000
/** Then each is said at least so long after the one before: four times as long every time, up to an hour. A settled fleet is a quiet one. */
const LONGER = 4
const LONGEST = 3_600_000
/** Unless it has jumped, as after a move to another network: then a minute is enough. */
const AFTER_JUMP = 60_000
/**
 * How far a place may be from what was said of it without anybody being told. Seconds of round trip: less than what a busy host
 * adds to one, and than what makes a peer near or far.
 */
const DRIFT = 0.001
const JUMP = 0.02

/**
 * When this node tells the whole fleet where it stands. Neighbours hear it in every answer to a probe; the others only need to
 * know it roughly, and one gossiped statement of each node is what makes a large fleet busy.
 */
export interface Whereabouts {
  moved(now: Millis, coordinate: Coordinate): void
  due(now: Millis): boolean
  /** What to say now, since something is said anyway; undefined while nothing is known. */
  say(now: Millis): Coordinate | undefined
}

export function createWhereabouts(): Whereabouts {
  let current: Coordinate | undefined
  let said: Coordinate | undefined
  let since = 0
  let wait = FIRST
  const due = (now: Millis): boolean => {
    if (current === undefined) return false
    if (said === undefined) return now - since >= wait
    const moved = change(said, current)
    return (moved >= DRIFT && now - since >= wait) || (moved >= JUMP && now - since >= Math.min(wait, AFTER_JUMP))
  }
  return {
    due,
    moved(now, coordinate) {
      if (!isPlaced(coordinate)) return
      if (current === undefined) since = now
      current = coordinate
    },
    say(now) {
      if (current === undefined) return undefined
      // Said along with something else it costs nothing, and need not be said again soon.
      if (said === undefined || due(now)) wait = Math.min(LONGEST, LONGER * wait)
      said = current
      since = now
      return current
    },
  }
}

/** By how much at most an estimate to anybody has changed, in seconds. */
const change = (a: Coordinate, b: Coordinate): number =>
  Math.sqrt(a.vector.reduce((sum, value, index) => sum + (value - b.vector[index]!) ** 2, 0)) +
  Math.abs(a.height - b.height) +
  Math.abs(a.adjustment - b.adjustment)
