import stringWidth from 'fast-string-width'
import { wrapAnsi } from 'fast-wrap-ansi'

/** Columns that a text takes on a terminal: some characters take two, and escape sequences none. */
export const widthOf = stringWidth

/** What a line that had to be broken goes on with. */
const HANG = 2
/** Stands for a space at which no line is broken. */
const KEPT = '\u00a0'

/** What becomes of a word that is wider than the terminal: it is left whole, for the terminal to break, or broken. */
type Words = 'whole' | 'hard'

/** A command that somebody copies: it stays on one line, for the terminal to break, which copies as one. */
export const unbroken = (command: string): string => command.replaceAll(' ', KEPT)

/** Text that is done with: what was kept together is as it was. */
export const rejoined = (text: string): string => text.replaceAll(KEPT, ' ')

/** `text` as a block behind `prefix`: its lines are broken at words, and the others begin below the first. */
export function block(prefix: string, text: string, width: number | undefined, words: Words = 'whole'): string {
  if (width === undefined) return prefix + text
  const indent = widthOf(prefix)
  const [first = '', ...others] = wrapped(text, width - indent, words)
  return [prefix + first, ...others.map(line => ' '.repeat(indent) + line)].join('\n')
}

/** Every line that is wider than the terminal, broken at words. */
export function fitted(text: string, width: number | undefined, words: Words = 'whole'): string {
  if (width === undefined) return rejoined(text)
  const lines = text.split('\n').map(line => (widthOf(line) <= width ? line : brokenLine(line, width, words)))
  return rejoined(lines.join('\n'))
}

const wrapped = (text: string, width: number, words: Words): string[] =>
  wrapAnsi(text, Math.max(1, width), { hard: words === 'hard' }).split('\n')

function brokenLine(line: string, width: number, words: Words): string {
  const lead = /^ */.exec(line)![0]
  const [first = '', ...others] = wrapped(line.slice(lead.length), width - lead.length - HANG, words)
  return [lead + first, ...others.map(other => lead + ' '.repeat(HANG) + other)].join('\n')
}

/** The text in at most so many columns; where something had to go, an ellipsis says so. */
export function cut(text: string, width: number): string {
  if (widthOf(text) <= width) return text
  let kept = ''
  for (const character of text) {
    if (widthOf(kept + character) >= width) break
    kept += character
  }
  return `${kept}…`
}
