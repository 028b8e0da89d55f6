import * as z from 'zod'
import {
  type Address,
  check,
  decode,
  encode,
  FleetError,
  fields,
  type Millis,
  type NodeId,
} from '../../protocol/index.ts'
import type { Network, RequestHandler } from '../network/index.ts'

/** The service that tells another member this one's clock, and whether its host answers from here. */
export const CHECKUP = 'checkup'

/** How long a host may take to answer a connection, in milliseconds. */
export const KNOCK_TIMEOUT = 2_000
/** Members that are examined for others at once. */
const ANSWERING = 8
/** How often one of them may ask, in milliseconds. */
export const OFTEN = 1_000

/** What the other says: its clock when the question came and when the answer went, and what our host answered it. */
const answerSchema = z.tuple([fields.time, fields.time, z.enum(['open', 'refused', 'none'])])
export type PeerAnswer = z.infer<typeof answerSchema>
const MAX_ANSWER = 128

/** Throws `corrupt` on what is no answer. */
export function answerOf(bytes: Uint8Array): PeerAnswer {
  const answer = check(answerSchema, decode(bytes, MAX_ANSWER))
  if (!answer.success) throw new FleetError('corrupt', 'not an answer about clocks and ports')
  return answer.data
}

/**
 * How far the other's clock is ahead of ours, and how wrong that may be: the offset and half the delay of RFC 5905, section 8, from when we asked
 * and heard by our clock and what it said of its own. Milliseconds.
 */
export function clockOf(asked: Millis, heard: Millis, [came, went]: PeerAnswer): { aheadMs: number; errorMs: number } {
  return { aheadMs: (came - asked + (went - heard)) / 2, errorMs: Math.max(0, heard - asked - (went - came)) / 2 }
}

/** Answers members alone, each about the addresses that its own record names: nobody's ports are tried for anybody else. */
export function serveCheckup(init: {
  readonly network: Pick<Network, 'knock'>
  readonly addressesOf: (node: NodeId) => readonly Address[]
  readonly now: () => Millis
}): RequestHandler {
  const { network, addressesOf, now } = init
  const lately = new Map<NodeId, number>()
  let answering = 0
  return async from => {
    const came = now()
    const last = lately.get(from) ?? Number.NEGATIVE_INFINITY
    if (answering >= ANSWERING || came - last < OFTEN)
      throw new FleetError('unavailable', 'this node has been asked enough in the last second; ask again in a moment')
    if (lately.size > 1_000) lately.clear()
    lately.set(from, came)
    answering += 1
    try {
      const back = await network.knock(addressesOf(from), KNOCK_TIMEOUT)
      return encode([came, now(), back])
    } finally {
      answering -= 1
    }
  }
}
