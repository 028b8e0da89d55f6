import type { ComponentChildren } from 'preact'
import type { RolloutPhase } from '../../../protocol/index.ts'
import { CONDITION_WORDS, CONDITIONS, type Condition } from './fleet.ts'
import { numberOf } from './format.ts'
import type { Answer } from './live.ts'
import { membersLink } from './route.ts'
import type { Counts } from './summary.ts'

// The small parts that views are made of. What a colour says, a word or a shape says too.

/** A condition's mark: its shape differs as well as its colour. */
export function Mark({ condition }: { condition: Condition }) {
  return (
    <svg class={`mark ${condition}`} viewBox="0 0 10 10" aria-hidden="true">
      <path d={shapeAt(condition, 1, 1, 8)} />
    </svg>
  )
}

/** The outline of a condition's mark, in a square of this size. */
export function shapeAt(condition: Condition, x: number, y: number, size: number): string {
  const half = size / 2
  switch (condition) {
    case 'failed':
    case 'failing': {
      const arm = size * 0.28
      const inner = half - arm
      // A cross.
      return `M${x + arm} ${y}l${inner} ${inner}l${inner} ${-inner}l${arm} ${arm}l${-inner} ${inner}l${inner} ${inner}l${-arm} ${arm}l${-inner} ${-inner}l${-inner} ${inner}l${-arm} ${-arm}l${inner} ${-inner}l${-inner} ${-inner}z`
    }
    case 'suspect':
      // A triangle.
      return `M${x + half} ${y}l${half} ${size}h${-size}z`
    case 'changing':
      // A diamond.
      return `M${x + half} ${y}l${half} ${half}l${-half} ${half}l${-half} ${-half}z`
    case 'away':
    case 'left': {
      const wall = size * 0.22
      const inner = size - 2 * wall
      // A frame.
      return `M${x} ${y}h${size}v${size}h${-size}zM${x + wall} ${y + wall}v${inner}h${inner}v${-inner}z`
    }
    default:
      return `M${x} ${y}h${size}v${size}h${-size}z`
  }
}

/** How many members are in each condition, as links to them; those with nobody are left out. */
export function Tally({ counts, filter = {} }: { counts: Counts; filter?: { zone?: string; group?: string } }) {
  return (
    <ul class="tally">
      {CONDITIONS.filter(condition => counts[condition] > 0).map(condition => (
        <li key={condition}>
          <a href={membersLink({ ...filter, condition })}>
            <Mark condition={condition} /> <b>{numberOf(counts[condition])}</b> {CONDITION_WORDS[condition]}
          </a>
        </li>
      ))}
    </ul>
  )
}

const PHASE_WORDS: Readonly<Record<RolloutPhase, string>> = {
  idle: 'none yet',
  canary: 'canary',
  rolling: 'rolling',
  soaking: 'soaking',
  paused: 'paused',
  reversing: 'being undone',
  done: 'done',
  'rolled-back': 'rolled back',
  aborted: 'aborted',
}

export function Phase({ phase }: { phase: RolloutPhase }) {
  return <span class={`phase ${phase}`}>{PHASE_WORDS[phase]}</span>
}

export const isUnderWay = (phase: RolloutPhase): boolean =>
  phase === 'canary' || phase === 'rolling' || phase === 'soaking' || phase === 'paused' || phase === 'reversing'

export interface Part {
  readonly kind: 'ok' | 'busy' | 'bad' | 'rest'
  readonly count: number
  readonly word: string
}

/** Parts of a whole side by side; the words say the same. */
export function Bar({ parts, label }: { parts: readonly Part[]; label: string }) {
  const shown = parts.filter(({ count }) => count > 0)
  const words = shown.map(({ count, word }) => `${count} ${word}`).join(', ')
  return (
    <div class="bar" role="img" aria-label={`${label}: ${words || 'nothing'}`}>
      {shown.map(({ kind, count, word }) => (
        <span key={word} class={kind} style={{ flexGrow: count }} title={`${count} ${word}`} />
      ))}
    </div>
  )
}

/** How far something is, from 0 to 1. */
export function Progress({ part, label }: { part: number; label: string }) {
  const value = Math.floor(part * 100)
  return (
    <div
      class="progress"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value}
      aria-label={label}
    >
      <span style={{ width: `${value}%` }} />
    </div>
  )
}

/** A part of the page under a heading. */
export function Section({
  title,
  aside,
  children,
}: {
  title: string
  aside?: ComponentChildren
  children: ComponentChildren
}) {
  return (
    <section>
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  )
}

/** What an answer holds, or what keeps it. */
export function Answered<T>({ answer, children }: { answer: Answer<T>; children: (value: T) => ComponentChildren }) {
  if (answer.state === 'asking') return <p class="quiet">Asking …</p>
  if (answer.state === 'refused') return <p class="problem">{answer.reason}</p>
  return <>{children(answer.value)}</>
}
