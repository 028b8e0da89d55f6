import { type Millis, millis } from '../../protocol/index.ts'

/** What may be on the way at first, and again after a rest: on a link of LIMITS.lowestRate it takes less than a second. Bytes. */
const START = 4 * 1024
/** What may always be on the way. Bytes. */
const LEAST = 4 * 1024
/** Where so much is on the way without waiting for long, nobody has to ask: senders send what they were asked for. Bytes. */
const FREE = 256 * 1024
/** How long bytes may wait on the link, on top of the quickest that any have come: probes go the same way and wait behind them. Milliseconds. */
const WAIT = 250
/** The least that a sender is allowed at a time, unless less is wanted of it: one packet. Bytes. */
const QUANTUM = 1_400
/** Who was allowed to send and sends nothing for so long keeps nobody else waiting. Milliseconds. */
const SILENT = 2_000
/** What was known of the link counts no more when nothing has come for so long. Milliseconds. */
const REST = 5_000
/** Where less comes than this while more is waited for, the link may be a slow one after all. Bytes a second. */
const SLOW = 128 * 1024
/** How long that is looked at. Milliseconds. */
const LOOK = 1_000

/** A sender that has been asked for more than it may send. */
export interface PaceWant<Id> {
  readonly id: Id
  /** How long it has waited: who was asked first is served first, so that chunks come whole one after the other. */
  readonly since: Millis
  readonly bytes: number
}

/**
 * How many bytes all senders together may have on their way to this node, so that what they send waits a quarter of a second at most in front of the
 * slowest link: with more, probes and handshakes would wait behind them for seconds, and senders starve each other until some seem dead.
 * As in LEDBAT (RFC 6817) it is the delay that tells, and by Little's law what was waiting, over how long it waited, is the rate. On
 * a link that is fast it says so after half a mebibyte, and is out of the way. It grows by half in each round trip and not by as much again, as TCP does: what a shaper lets
 * pass at once after a rest looks fast, and when that ends no more waits than what came.
 */
export interface Pace<Id> {
  /** Senders need no leave. */
  free(now: Millis): boolean
  /** Gives leave to send now, of which `came` is to be told. */
  grant(now: Millis, wants: readonly PaceWant<Id>[]): Map<Id, number>
  /** Bytes came of what a sender had leave for. */
  came(now: Millis, id: Id, bytes: number): void
  /** Nothing is waited for of this sender any more, or it is gone. */
  settled(id: Id): void
  /** So many bytes came, of whatever; `busy`: more is waited for. */
  heard(now: Millis, bytes: number, busy: boolean): void
}

interface Grant {
  readonly at: Millis
  /** What was on the way of all by then, this among it. Bytes. */
  readonly queue: number
  readonly bytes: number
  left: number
}

interface Sender {
  readonly grants: Grant[]
  heardAt: Millis
}

export function createPace<Id>(): Pace<Id> {
  const senders = new Map<Id, Sender>()
  let window = START
  let quickest = Number.POSITIVE_INFINITY
  let free = false
  let cameAt: Millis = millis(0)
  let look = { since: millis(0), bytes: 0 }

  const restart = (): void => {
    window = START
    quickest = Number.POSITIVE_INFINITY
    free = false
  }
  const isSilent = (sender: Sender, now: Millis): boolean =>
    sender.grants.length > 0 && now - Math.max(sender.heardAt, sender.grants[0]!.at) >= SILENT
  const onTheWay = (now: Millis): number => {
    let bytes = 0
    for (const sender of senders.values())
      if (!isSilent(sender, now)) for (const { left } of sender.grants) bytes += left
    return bytes
  }
  const learn = (now: Millis, { at, queue, bytes }: Grant): void => {
    const took = Math.max(1, now - at)
    quickest = Math.min(quickest, took)
    const room = (queue / took) * (quickest + WAIT)
    if (took > quickest + WAIT) window = Math.max(LEAST, window + Math.min(0, room - window) / 2)
    else if (queue >= window / 2) window += bytes / 2 // What was not made use of proves nothing.
    if (window < FREE) return
    free = true
    look = { since: now, bytes: 0 }
    senders.clear()
  }

  return {
    free(now) {
      if (free && now - cameAt > REST) restart()
      return free
    },
    grant(now, wants) {
      const given = new Map<Id, number>()
      let queue = onTheWay(now)
      if (queue === 0 && now - cameAt > REST) restart()
      for (const { id, bytes } of [...wants].sort((a, b) => a.since - b.since)) {
        const sender = senders.get(id) ?? { grants: [], heardAt: now }
        if (bytes <= 0 || isSilent(sender, now)) continue
        // A single packet first: how long that takes is what the others are compared with.
        const room = quickest === Number.POSITIVE_INFINITY ? QUANTUM - queue : Math.floor(window - queue)
        const some = Math.min(bytes, room)
        if (some < Math.min(bytes, QUANTUM)) break
        queue += some
        sender.grants.push({ at: now, queue, bytes: some, left: some })
        senders.set(id, sender)
        given.set(id, some)
      }
      return given
    },
    came(now, id, bytes) {
      cameAt = now
      const sender = senders.get(id)
      if (sender === undefined) return
      sender.heardAt = now
      for (let more = bytes; more > 0 && sender.grants.length > 0; ) {
        const [oldest] = sender.grants as [Grant]
        const part = Math.min(more, oldest.left)
        more -= part
        oldest.left -= part
        if (oldest.left > 0) break
        sender.grants.shift()
        learn(now, oldest)
      }
    },
    settled: id => void senders.delete(id),
    heard(now, bytes, busy) {
      if (bytes > 0) cameAt = now
      look.bytes += bytes
      if (!busy) look = { since: now, bytes: 0 }
      if (now - look.since < LOOK) return
      if (free && (look.bytes * 1_000) / (now - look.since) < SLOW) restart()
      look = { since: now, bytes: 0 }
    },
  }
}
