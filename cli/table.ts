import { block, cut, fitted, rejoined, unbroken, widthOf } from './fit.ts'
import type { Paint, Tint } from './paint.ts'
import { plain } from './text.ts'

export interface Cell {
  readonly text: string
  readonly tint?: Tint
}

export interface Column<T> {
  readonly head: string
  readonly cell: (row: T) => string | Cell
  readonly align?: 'right'
  /** Gives up its place in a narrow terminal before those that say nothing. */
  readonly spare?: true
}

const GAP = '  '
/** A last column of at least so many columns is read with ease when its text is broken into lines. */
const READABLE = 32
const DETAIL = ' '.repeat(6)
const NOTHING = '-'

/**
 * Aligned columns, two spaces apart. Where they are wider than `width`, nothing is cut: a last column that has the room is broken into lines
 * in its place; otherwise what finds no place in a row's line stands below it, with its column's name. Without `width` every row is
 * one line: the reader is a program.
 */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], paint: Paint, width?: number): string {
  const cells = rows.map(row =>
    columns.map(column => {
      const made = column.cell(row)
      const cell = typeof made === 'string' ? { text: made } : made
      return { ...cell, text: plain(cell.text) || NOTHING }
    }),
  )
  const widths = columns.map((column, at) => Math.max(column.head.length, ...cells.map(row => widthOf(row[at]!.text))))
  const last = columns.length - 1
  const before = sum(widths.slice(0, last)) + GAP.length * last
  const all = columns.map((_, at) => at)
  const fits = width === undefined || before + widths[last]! <= width
  const breaks = !fits && width - before >= READABLE
  const shown = fits || breaks ? all : chosen(columns, widths, width)
  const room = breaks ? width : undefined

  const line = (row: readonly Cell[]): string => {
    const placed = shown.map((at, place) => {
      const { text: whole, tint } = row[at]!
      const text = fits || breaks ? whole : cut(whole, widths[at]!)
      const tinted = tint === undefined ? text : paint(tint, text)
      const pad = ' '.repeat(Math.max(0, widths[at]! - widthOf(text)))
      if (columns[at]!.align === 'right') return pad + tinted
      return place === shown.length - 1 ? tinted : tinted + pad
    })
    return block(
      placed
        .slice(0, -1)
        .map(cell => cell + GAP)
        .join(''),
      placed.at(-1)!,
      room,
      'hard',
    )
  }
  const details = (row: readonly Cell[]): string[] => {
    const hidden = byPlace(columns, all).filter(at => !shown.includes(at) && row[at]!.text !== NOTHING)
    // A name stays beside the beginning of what it names.
    const named = hidden.map(at => `${paint('dim', columns[at]!.head.toLowerCase())}${unbroken(' ')}${row[at]!.text}`)
    return packed(named, width! - DETAIL.length).map(line => rejoined(fitted(DETAIL + line, width, 'hard')))
  }
  const head = line(columns.map(column => ({ text: column.head, tint: 'bold' })))
  return [head, ...cells.flatMap(row => [line(row), ...details(row)])].join('\n')
}

/** The columns that a line of `width` has room for, in their order: the first, then who comes first, spare ones last. */
function chosen<T>(columns: readonly Column<T>[], widths: number[], width: number): number[] {
  widths[0] = Math.min(widths[0]!, width)
  const found = [0]
  let room = width - widths[0]
  for (const at of byPlace(columns, columns.map((_, at) => at).slice(1))) {
    const need = widths[at]! + GAP.length
    if (need > room) continue
    room -= need
    found.push(at)
  }
  return found.sort((a, b) => a - b)
}

/** As many of them on one line as it has room for; one that is wider has a line of its own. */
function packed(some: readonly string[], room: number): string[] {
  const lines: string[] = []
  for (const each of some) {
    const last = lines.at(-1)
    if (last !== undefined && widthOf(last + GAP + each) <= room) lines[lines.length - 1] = last + GAP + each
    else lines.push(each)
  }
  return lines
}

/** Those that say most come first. */
const byPlace = <T>(columns: readonly Column<T>[], some: readonly number[]): number[] => [
  ...some.filter(at => columns[at]!.spare !== true),
  ...some.filter(at => columns[at]!.spare),
]

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0)

/** `label  value` lines; a value that is wider than the terminal goes on below itself. */
export function fields(rows: readonly (readonly [string, string])[], paint: Paint, width?: number): string {
  const label = Math.max(...rows.map(([name]) => name.length))
  return rows
    .map(([name, value]) => block(`${paint('bold', name.padEnd(label))}  `, plain(value) || NOTHING, width))
    .join('\n')
}
