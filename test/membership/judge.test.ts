import { beforeEach, describe, expect, test } from 'vitest'
import { type Awareness, createAwareness } from '../../membership/awareness.ts'
import { createJudge, type Judge } from '../../membership/judge.ts'
import type { Doubt, Member } from '../../membership/members.ts'
import type { Overlay } from '../../membership/overlay.ts'
import { lan } from '../../membership/profiles.ts'
import { strangerTimeout, suspicionTimeout } from '../../membership/suspicion.ts'
import { millis, type NodeId, type Suspicion } from '../../protocol/index.ts'
import { nodeNumber, record, suspicion, T0 } from './support.ts'

const SIZE = 50
const SUBJECT = nodeNumber(1)
const [A, B, C, STRANGER] = [nodeNumber(11), nodeNumber(12), nodeNumber(13), nodeNumber(14)]
const profile = lan()
/** How long it takes with so many observers, milliseconds; what falls due within 20 ms is settled at once. */
const lasts = (observers: number): number => Math.round(suspicionTimeout(profile, SIZE, observers - 1))

let assigned: Set<NodeId>
let questionable: Set<NodeId>
let awareness: Awareness
let judge: Judge
let member: Member
beforeEach(() => {
  assigned = new Set([A, B, C])
  awareness = createAwareness()
  questionable = new Set()
  const overlay = {
    size: SIZE,
    mayObserve: (observer: NodeId) => assigned.has(observer),
    observersOf: () => [...assigned],
  }
  judge = createJudge(profile, overlay as unknown as Overlay, awareness, node => questionable.has(node))
  const doubts = new Map<NodeId, Doubt>()
  member = {
    id: SUBJECT,
    slot: 0,
    entry: {
      node: SUBJECT,
      record: record(SUBJECT),
      vitals: undefined,
      suspicions: new Map(),
      dismissals: [],
      sum: [0, 0],
    },
    status: 'alive',
    since: millis(T0),
    heardAt: millis(T0),
    rtt: undefined,
    coordinate: undefined,
    doubts,
    failsAt: Number.POSITIVE_INFINITY,
    missing: false,
    reaped: false,
    toldAt: 0,
    doubt: (observer, each) => void doubts.set(observer, each),
    trust(observer) {
      if (observer === undefined) doubts.clear()
      else doubts.delete(observer)
      if (doubts.size === 0) member.failsAt = Number.POSITIVE_INFINITY
    },
  }
})

const doubt = (observer: NodeId, after: number, change: Partial<Suspicion> = {}, introduced = false): void => {
  ;(member.entry.suspicions as Map<NodeId, unknown>).set(observer, suspicion(SUBJECT, change))
  judge.weigh(millis(T0 + after), member, introduced)
}
/** When it counts as failed, in milliseconds from the first suspicion. */
const failsAfter = (): number => Math.round(member.failsAt - T0)

describe('a suspicion of silence', () => {
  test('by a lone observer lasts longest, and each confirmation takes it down to the least', () => {
    const seen: number[] = []
    for (const [index, observer] of [A, B, C].entries()) {
      doubt(observer, index)
      seen.push(failsAfter())
    }
    expect(seen).toEqual([lasts(1), lasts(2), lasts(3)])
    expect(seen[0]).toBeCloseTo(profile.suspicionMaxMult * lasts(3), -1)
    expect(seen[1]).toBeLessThan(seen[0]!)
  })

  test('repeated by the same observer confirms nothing', () => {
    doubt(A, 0)
    doubt(A, 500)
    expect(failsAfter()).toBe(lasts(1))
  })

  test('is settled when its time is over, and no earlier', () => {
    doubt(A, 0)
    doubt(B, 0)
    doubt(C, 0)
    expect(judge.suspected(member)).toBe(true)
    expect(judge.settle(millis(T0 + lasts(3) - 100))).toEqual([])
    expect(judge.settle(millis(T0 + lasts(3)))).toEqual([member])
    expect(judge.settle(millis(T0 + 2 * lasts(3)))).toEqual([])
  })

  test('is void when a newer record of its subject is there', () => {
    doubt(A, 0)
    ;(member.entry as { record: unknown }).record = record(SUBJECT, { seq: 2 })
    judge.weigh(millis(T0 + 100), member, false)
    expect(judge.suspected(member)).toBe(false)
    expect(failsAfter()).toBe(Number.POSITIVE_INFINITY)
    expect(judge.settle(millis(T0 + 10 * lasts(1)))).toEqual([])
  })

  test.each([
    [0, 1],
    [4, 2],
    [8, 3],
  ])('lasts longer where this node is unwell: with a score of %i, %i times', (score, times) => {
    for (let n = 0; n < score; n += 1) awareness.refuted()
    doubt(A, 0)
    expect(failsAfter()).toBeCloseTo(times * lasts(1), -1)
  })

  test('that is older than our knowledge of the subject is as old as its author says', () => {
    doubt(A, 5_000, {}, true)
    expect(failsAfter()).toBe(lasts(1))
  })
})

describe('refused evidence', () => {
  test('needs no more than the time for one refutation, however large the fleet', () => {
    doubt(A, 0, { evidence: 'refused' })
    expect(failsAfter()).toBe(profile.refusedGrace)
  })

  test('that follows on silence counts from when it came', () => {
    doubt(A, 0)
    doubt(A, 1_000, { evidence: 'refused' })
    expect(failsAfter()).toBe(1_000 + profile.refusedGrace)
  })

  test('by one who does not observe the subject is worth no more than any word of a stranger', () => {
    doubt(STRANGER, 0, { evidence: 'refused' })
    expect(judge.suspected(member)).toBe(false)
    expect(failsAfter()).toBe(Math.round(strangerTimeout(profile, SIZE)))
    expect(failsAfter()).toBeGreaterThan(lasts(1))
  })
})

test('strangers confirm nothing, and count from the moment that the rings assign them', () => {
  doubt(A, 0)
  doubt(STRANGER, 0)
  expect(failsAfter()).toBe(lasts(1))
  assigned.add(STRANGER)
  judge.settle(millis(T0 + 1_500))
  expect(failsAfter()).toBe(lasts(2))
})

test('a node that stood still gives every suspect the time back', () => {
  doubt(A, 0)
  judge.postpone(millis(T0 + 9_000), 8_000)
  expect(failsAfter()).toBe(8_000 + lasts(1))
})

describe('a suspicion that the host is unreachable', () => {
  const UNREACHABLE = { evidence: 'unreachable' } as const

  test('counts once three observers agree, and lasts the grace from the first of them at least', () => {
    doubt(A, 0, UNREACHABLE)
    expect(failsAfter()).toBe(lasts(1))
    doubt(B, 100, UNREACHABLE)
    expect(failsAfter()).toBe(lasts(2))
    doubt(C, 200, UNREACHABLE)
    expect(failsAfter()).toBe(profile.unreachableGrace)
  })

  test('counts with the third, when that comes late', () => {
    doubt(A, 0, UNREACHABLE)
    doubt(B, 0, UNREACHABLE)
    doubt(C, 2 * profile.unreachableGrace, UNREACHABLE)
    expect(failsAfter()).toBe(2 * profile.unreachableGrace)
  })

  test('needs no more witnesses than there are observers that nobody doubts', () => {
    questionable = new Set([B])
    doubt(A, 0, UNREACHABLE)
    expect(failsAfter()).toBe(lasts(1))
    doubt(C, 0, UNREACHABLE)
    expect(failsAfter()).toBe(profile.unreachableGrace)
  })

  test('is what a suspicion of silence by the same observer becomes, and its time of silence goes on', () => {
    doubt(A, 0)
    doubt(A, 300, UNREACHABLE)
    expect(failsAfter()).toBe(lasts(1))
    expect([...member.doubts.values()]).toMatchObject([{ at: T0, evidentAt: T0 + 300, evidence: 'unreachable' }])
  })
})
