import { InvalidArgumentError } from 'commander'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `30s`, `5m`, `1.5h`: milliseconds. */
export function duration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  if (match === null) throw new InvalidArgumentError('expected a length of time such as 500ms, 30s, 5m, 24h or 7d')
  return Math.round(Number(match[1]) * UNITS[match[2]!]!)
}

export function positive(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('expected a whole number of at least 1')
  return value
}

/** A place in this node's order of events, as text: it goes into a URL. */
export function cursor(text: string): string {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected the cursor of an event, a whole number')
  return text
}

/** A count, or a share of the roster. */
export function countOrShare(text: string): number | string {
  if (/^(100|[1-9]?[0-9])%$/.test(text)) return text
  return positive(text)
}

/** `1%,10%,50%`: growing counts or shares. */
export function waves(text: string): (number | string)[] {
  return text.split(',').map(part => countOrShare(part.trim()))
}

/** `key=value`, gathered over repeats. */
export function pair(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('expected KEY=VALUE')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

export function pattern(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`)
  } catch {
    throw new InvalidArgumentError('expected a regular expression')
  }
}

/** `key=REGULAR-EXPRESSION`, gathered over repeats; every one must match. */
export function patternPair(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const pairs = pair(text, before)
  pattern(text.slice(text.indexOf('=') + 1))
  return pairs
}

export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

/** Also says what it takes, for completion. */
export interface Choice<A extends readonly unknown[], T> {
  (text: string, ...before: A): T
  readonly choices: readonly string[]
}

export function oneOf(...choices: readonly string[]): Choice<[], string> {
  const parse = (text: string): string => {
    if (!choices.includes(text)) throw new InvalidArgumentError(`expected ${choices.join(', ')}`)
    return text
  }
  return Object.assign(parse, { choices })
}

/** What a rollout may be like. `surge` is known of by name, since people look for it. */
const STRATEGIES = ['rolling', 'canary', 'waves', 'at-once'] as const
export type Strategy = (typeof STRATEGIES)[number]
export const strategy = Object.assign(
  (text: string): Strategy => {
    if (text === 'surge')
      throw new InvalidArgumentError(
        'surge is not built: no driver starts another host beside this one; use rolling, which keeps all but --max-unavailable of them in service',
      )
    return oneOf(...STRATEGIES)(text) as Strategy
  },
  { choices: STRATEGIES },
)

/** The same, gathered over repeats. */
export function someOf(...choices: readonly string[]): Choice<[before?: readonly string[]], string[]> {
  const one = oneOf(...choices)
  return Object.assign((text: string, before: readonly string[] = []) => [...before, one(text)], { choices })
}
