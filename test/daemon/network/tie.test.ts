import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { answerOpen } from '../../../daemon/network/tie.ts'
import type { NodeId } from '../../../protocol/index.ts'

const A = 'a' as NodeId
const B = 'b' as NodeId

type Message =
  | { type: 'open'; id: string; after: readonly string[] }
  | { type: 'answer'; id: string; accepted: boolean }

/** One side of a pair, doing with links what links.ts does, without streams. */
interface Side {
  readonly self: NodeId
  readonly peer: NodeId
  current: string | undefined
  opening: string | undefined
  cancelled: boolean
  known: readonly string[]
}

type Rule = typeof answerOpen

/**
 * Two sides that open links, lose what is under way and carry on, in any order. Every connection is its own channel, so
 * messages may overtake each other; what a link's death loses is lost at both ends or noticed at one alone.
 */
function run(rule: Rule, choices: readonly number[]): readonly [Side, Side] {
  const sides: readonly [Side, Side] = [
    { self: A, peer: B, current: undefined, opening: undefined, cancelled: false, known: [] },
    { self: B, peer: A, current: undefined, opening: undefined, cancelled: false, known: [] },
  ]
  let flying: { to: 0 | 1; message: Message }[] = []
  let ids = 0
  const open = (from: 0 | 1) => {
    const side = sides[from]
    if (side.current !== undefined || side.opening !== undefined) return
    const id = `link${ids++}`
    flying.push({ to: from === 0 ? 1 : 0, message: { type: 'open', id, after: side.known } })
    side.opening = id
    side.cancelled = false
    side.known = [...side.known, id]
  }
  const up = (side: Side, id: string) => {
    side.current = id
    side.known = [...side.known, id]
  }
  const deliver = (index: number) => {
    const [{ to, message }] = flying.splice(index, 1) as [(typeof flying)[number]]
    const side = sides[to]
    switch (message.type) {
      case 'open': {
        const answer = rule(
          { self: side.self, peer: side.peer, boot: '1', after: message.after },
          side.current === undefined ? undefined : { id: side.current, boot: '1' },
          side.opening === undefined ? undefined : { boot: '1' },
        )
        if (answer === 'accept') {
          if (side.opening !== undefined && message.after.includes(side.opening)) side.cancelled = true
          up(side, message.id)
        }
        flying.push({
          to: to === 0 ? 1 : 0,
          message: { type: 'answer', id: message.id, accepted: answer === 'accept' },
        })
        return
      }
      case 'answer':
        if (side.opening !== message.id) return
        side.opening = undefined
        if (message.accepted && !side.cancelled) up(side, message.id)
    }
  }
  /** The link dies and one side notices; the other still believes in it. */
  const loseAt = (at: 0 | 1) => {
    sides[at].current = undefined
  }
  /** An opening fails under way: its messages are gone and its opener gives up, which resets a link that came of it. */
  const loseOpening = (at: 0 | 1) => {
    const id = sides[at].opening
    if (id === undefined) return
    flying = flying.filter(({ message }) => message.id !== id)
    sides[at].opening = undefined
    const other = sides[at === 0 ? 1 : 0]
    if (other.current === id) other.current = undefined
  }
  for (const choice of choices) {
    const at = (choice & 1) as 0 | 1
    switch ((choice >> 1) % 4) {
      case 0:
        open(at)
        break
      case 1:
        if (flying.length > 0) deliver((choice >> 3) % flying.length)
        break
      case 2:
        loseAt(at)
        break
      case 3:
        loseOpening(at)
    }
  }
  // Then nothing is lost any more, and each side opens a link whenever it has none.
  for (let rounds = 0; rounds < 10; rounds++) {
    while (flying.length > 0) deliver(0)
    open(0)
    open(1)
  }
  while (flying.length > 0) deliver(0)
  return sides
}

const schedules = fc.array(fc.nat({ max: 255 }), { maxLength: 60 })

describe('the tie of two openings', () => {
  test('whatever happened before, both sides end with the same link', () => {
    fc.assert(
      fc.property(schedules, choices => {
        const [a, b] = run(answerOpen, choices)
        expect(a.current).toBeDefined()
        expect(a.current).toBe(b.current)
      }),
      { numRuns: 2_000 },
    )
  })

  test.each<[string, Rule]>([
    ['takes every opening', () => 'accept'],
    ['never gives up the link it has', (_open, current) => (current === undefined ? 'accept' : 'refuse')],
    [
      'breaks ties by id alone',
      (open, current, opening) =>
        (current !== undefined || opening !== undefined) && open.self < open.peer ? 'refuse' : 'accept',
    ],
  ])('a rule that %s is found out', (_name, rule) => {
    const result = fc.check(
      fc.property(schedules, choices => {
        const [a, b] = run(rule, choices)
        return a.current !== undefined && a.current === b.current
      }),
      { numRuns: 5_000 },
    )
    expect(result.failed).toBe(true)
  })

  test('the new process of a peer gets its link, whatever we believe of the old one', () => {
    const open = { self: A, peer: B, boot: 'second', after: [] }
    expect(answerOpen(open, { id: 'old', boot: 'first' }, undefined)).toBe('accept')
    expect(answerOpen(open, undefined, { boot: 'first' })).toBe('accept')
  })
})
