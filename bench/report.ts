import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Table from 'cli-table3'

export interface Figure {
  readonly what: string
  readonly value: number
  readonly unit: string
  readonly target?: string
  readonly held?: boolean
}

/** Prints the figures as a table and keeps them in bench/results/NAME.json. */
export function report(name: string, figures: readonly Figure[]): void {
  const table = new Table({ head: [name, 'measured', 'target', ''], style: { head: [], border: [] } })
  for (const { what, value, unit, target, held } of figures) {
    table.push([
      what,
      `${value.toFixed(value < 10 ? 2 : 1)} ${unit}`,
      target ?? '',
      held === undefined ? '' : held ? 'held' : 'missed',
    ])
  }
  process.stdout.write(`${table.toString()}\n`)
  const dir = join(import.meta.dirname, 'results')
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, `${name}.json`), `${JSON.stringify({ node: process.version, figures }, null, 2)}\n`)
}
