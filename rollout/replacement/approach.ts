import { type Digest, type Millis, millis } from '../../protocol/index.ts'
import type { LedgerValue, Permit } from '../ledger/value.ts'
import { rest, type Self, save, say } from './state.ts'
import { FAR, type Move, next, type Wanted } from './target.ts'
import type { ReplaceIntent } from './types.ts'

// The way to a permit: nothing is held, nobody is disturbed, and everything may be dropped when the ledger wants something else.

/**
 * Who is next asks at once, and who has a place as well right after it; whoever is behind, only when those before it have not taken the place
 * meanwhile: all of them at once would outbid each other at the voters for longer than the whole step takes. Whoever is far behind asks after
 * `OUT_OF_TURN`. Milliseconds.
 */
const TURN = { jitter: 30, apart: 20, each: 300 }
const OUT_OF_TURN = 2_000
/** How often an installation looks whether the other layers are there. */
const LOOK_AGAIN = 5_000

// Field by field: every waiting node looks whenever it hears of the ledger, and to spread all of itself took longer than to decide.
const moveOf = ({ node, layer, current, plan, mark }: Self, now: Millis, value: LedgerValue): Move =>
  next({ now, node, layer, current, value, plan, mark })

/** Looks at the ledger and takes up what it wants of this node; only while nothing is bound. */
export function orient(m: Self, now: Millis): void {
  if (m.ledger === null) return
  const move = moveOf(m, now, m.ledger)
  switch (move.type) {
    case 'nothing':
      rest(m)
      say(m, m.current === null ? 'empty' : 'running', move.reason)
      return
    case 'already':
      rest(m)
      m.effects.push({ type: 'already', generation: m.ledger.generation, image: m.current! })
      say(m, 'running', 'it runs the wanted image already')
      return
    case 'install':
      if (m.stage.at === 'installing' && m.stage.image === move.image) return
      m.stage = { at: 'installing', image: move.image, again: null }
      m.effects.push({ type: 'stage', image: move.image })
      say(m, 'fetching', 'its slot is empty: it takes the image that its group runs')
      return
    case 'replace': {
      const { wanted } = move
      if (
        (m.stage.at === 'staging' || m.stage.at === 'readying' || m.stage.at === 'asking') &&
        m.stage.wanted.image === wanted.image &&
        m.stage.wanted.plan === wanted.plan
      ) {
        m.stage = { ...m.stage, wanted }
        if (m.stage.at === 'asking') consider(m, now, wanted)
        return
      }
      m.failures = 0
      m.stage = { at: 'staging', wanted, again: null }
      m.effects.push({ type: 'stage', image: wanted.image })
      say(m, 'fetching', `fetching ${wanted.version} from peers`)
    }
  }
}

/** An empty slot is filled without a permit, once the other layers are what the image requires. */
export function install(m: Self, now: Millis, image: Digest): void {
  const missing = lacking(m)
  if (missing === undefined) {
    m.effects.push({ type: 'flip', image, actBy: null })
    return
  }
  m.stage = { at: 'installing', image, again: millis(now + LOOK_AGAIN) }
  say(m, 'staged', missing)
}

/** What of the host's other layers the staged image requires and does not find, in a sentence. */
function lacking({ conditions, beside }: Self): string | undefined {
  for (const [layer, image] of Object.entries(conditions.requires)) {
    const runs = beside[layer]
    if (runs !== image)
      return `waiting for layer ${layer} to run ${image.slice(0, 12)}, which the new image requires; ${runs === undefined ? 'this host has no such layer' : `it runs ${runs?.slice(0, 12) ?? 'nothing'}`}`
  }
  return undefined
}

/** A window opens for all at once: they come one after another. */
const soonAfter = (m: Self, opens: Millis): Millis => millis(opens + m.random.int(OUT_OF_TURN))

/** Asks for a permit when there may be one, so that a thousand waiting nodes do not all write to the register. */
export function consider(m: Self, now: Millis, wanted: Wanted): void {
  if (m.stage.at !== 'asking') return
  const missing = wanted.kind === 'replace' ? lacking(m) : undefined
  if (missing !== undefined) {
    m.stage = { ...m.stage, again: null }
    say(m, 'waiting', missing)
    return
  }
  if (!wanted.open) {
    m.stage = { ...m.stage, again: wanted.opens === null ? null : soonAfter(m, wanted.opens) }
    say(m, 'waiting', wanted.waitingFor)
    return
  }
  const wait =
    wanted.behind < FAR
      ? (wanted.behind === 0 ? Math.min(OUT_OF_TURN, TURN.apart * wanted.before) : TURN.each * wanted.behind) +
        m.random.int(TURN.jitter + 1)
      : OUT_OF_TURN + m.random.int(OUT_OF_TURN)
  const at = millis(now + wait)
  if (m.stage.again === null || at < m.stage.again) m.stage = { ...m.stage, again: at }
  say(m, 'waiting', wanted.waitingFor)
}

/** Its wait is over: what was known when it began may not be so any more. */
export function ask(m: Self, now: Millis): void {
  if (m.stage.at !== 'asking' || m.ledger === null) return
  m.stage = { ...m.stage, again: null }
  const move = moveOf(m, now, m.ledger)
  if (move.type !== 'replace' || !move.wanted.open || move.wanted.plan !== m.stage.wanted.plan) return orient(m, now)
  m.effects.push({ type: 'ask-permit', renew: move.wanted.kind === 'renew' })
}

export function askReady(m: Self, wanted: Wanted): void {
  m.stage = { at: 'readying', wanted, again: null }
  m.effects.push({ type: 'ask-ready', image: wanted.image })
  say(m, 'staged', 'asking the ready hook')
}

export function bind(m: Self, permit: Permit, wanted: Wanted): void {
  m.failures = 0
  m.flipFailures = 0
  const intent: ReplaceIntent = {
    act: 'replace',
    plan: wanted.plan,
    token: permit.token,
    kind: permit.kind,
    from: m.current,
    to: wanted.image,
    minHealthy: wanted.minHealthy,
    deadline: wanted.deadline,
    failure: null,
    ...(wanted.passing ? { passing: true } : {}),
    ...(m.conditions.reversible || permit.kind !== 'replace' ? {} : { oneWay: true }),
  }
  m.stage = { at: 'binding', intent }
  save(m, intent)
  say(m, 'waiting', `holds permit ${permit.token}`)
}
