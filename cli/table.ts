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
}

const GAP = '  '
const NARROWEST = 6

/**
 * Aligned columns, two spaces apart. Where `width` is given, the widest columns give way until the table fits; a cell
 * that was cut ends in an ellipsis. Without it nothing is ever cut: the reader is a program.
 */
export function table<T>(columns: readonly Column<T>[], rows: readonly T[], paint: Paint, width?: number): string {
  const cells = rows.map(row =>
    columns.map(column => {
      const made = column.cell(row)
      const cell = typeof made === 'string' ? { text: made } : made
      return { ...cell, text: plain(cell.text) || '-' }
    }),
  )
  const widths = columns.map((column, at) => Math.max(column.head.length, ...cells.map(row => row[at]!.text.length)))
  if (width !== undefined) shrink(widths, width - GAP.length * (columns.length - 1))
  const line = (row: readonly Cell[]): string =>
    row
      .map((cell, at) => {
        const fitted = cut(cell.text, widths[at]!)
        const tinted = cell.tint === undefined ? fitted : paint(cell.tint, fitted)
        const pad = ' '.repeat(widths[at]! - fitted.length)
        if (columns[at]!.align === 'right') return pad + tinted
        return at === row.length - 1 ? tinted : tinted + pad
      })
      .join(GAP)
  return [line(columns.map(column => ({ text: column.head, tint: 'bold' }))), ...cells.map(line)].join('\n')
}

/** `label  value` lines. */
export function fields(rows: readonly (readonly [string, string])[], paint: Paint): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `${paint('bold', name.padEnd(width))}  ${plain(value) || '-'}`).join('\n')
}

function shrink(widths: number[], room: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) - room
  while (excess > 0) {
    const widest = widths.indexOf(Math.max(...widths))
    if (widths[widest]! <= NARROWEST) return
    widths[widest]! -= 1
    excess -= 1
  }
}

const cut = (text: string, width: number): string => (text.length <= width ? text : `${text.slice(0, width - 1)}…`)
