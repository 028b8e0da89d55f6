import { readFileSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import type { Document, LineCounter, Node, Pair } from 'yaml'
import { FleetError } from '../../protocol/index.ts'
import type { Source } from './source.ts'

/** The settings of a YAML file. Throws `bad-input` with file and line on what is no YAML or no settings. */
export async function fromFile(path: string): Promise<Source> {
  // Loaded only where there is a file: a daemon on flags alone starts sooner.
  const { isMap, isPair, isScalar, LineCounter, parseDocument, visit } = await import('yaml')
  const lines = new LineCounter()
  const document = parseDocument(read(path), { lineCounter: lines, prettyErrors: false })
  const problem = document.errors[0]
  if (problem !== undefined)
    throw new FleetError('bad-input', `${path}:${lineAt(lines, problem.pos[0])}: ${problem.message}`)
  visit(document, {
    Alias(_, alias) {
      if (alias.resolve(document) === undefined)
        throw new FleetError(
          'bad-input',
          `${path}:${lineAt(lines, alias.range?.[0] ?? 0)}: *${alias.source} stands for nothing: there is no &${alias.source} above it`,
        )
    },
  })
  const { contents } = document
  if (contents === null) return { values: {}, where: () => path, named: false }
  if (!isMap(contents)) throw new FleetError('bad-input', `${path}:1: expected settings as "key: value"`)

  const pairOf = (node: unknown, key: PropertyKey): Pair | undefined =>
    isMap(node)
      ? node.items.find(item => isPair(item) && isScalar(item.key) && String(item.key.value) === String(key))
      : undefined

  return {
    values: valuesOf(path, document),
    named: false,
    where(steps, key) {
      const all = key === undefined ? steps : [...steps, key]
      // The line of the innermost thing on the way that has one; a key that is missing stands where it should have been.
      let at: unknown = contents
      let offset = 0
      for (const step of all) {
        const pair = pairOf(at, step)
        const next = pair?.value ?? (at as { get?: (key: unknown, keep: boolean) => unknown })?.get?.(step, true)
        offset = (pair?.key as Node | undefined)?.range?.[0] ?? (next as Node | undefined)?.range?.[0] ?? offset
        at = next
      }
      return `${path}:${lineAt(lines, offset)}`
    },
  }
}

function read(path: string): string {
  try {
    return readFileSync(isAbsolute(path) ? path : join(process.cwd(), path), 'utf8')
  } catch (error) {
    throw new FleetError('bad-input', `cannot read the configuration ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

function valuesOf(path: string, document: Document): Record<string, unknown> {
  try {
    return document.toJS({ maxAliasCount: 100 }) as Record<string, unknown>
  } catch (error) {
    throw new FleetError('bad-input', `${path}: ${(error as Error).message}`, { cause: error })
  }
}

// An empty document has no line starts at all.
const lineAt = (lines: LineCounter, offset: number): number => Math.max(1, lines.linePos(offset).line)
