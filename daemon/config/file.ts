import { FleetError, toFleetError } from '../../protocol/index.ts'
import { configSchema } from './options.ts'

/** A setting of a file, and the line that it begins on. */
export interface Setting {
  readonly value: unknown
  readonly line: number
}

/** The top-level settings of a YAML file. Throws `bad-input` with file and line on what is no YAML or no setting. */
export async function readFile(path: string, read: (path: string) => string): Promise<Map<string, Setting>> {
  const { isMap, isScalar, LineCounter, parseDocument } = await import('yaml')
  let text: string
  try {
    text = read(path)
  } catch (error) {
    throw new FleetError('bad-input', `cannot read the configuration ${path}: ${toFleetError(error).message}`)
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const problem = document.errors[0]
  if (problem !== undefined)
    throw new FleetError('bad-input', `${path}:${lines.linePos(problem.pos[0]).line}: ${problem.message}`)
  if (document.contents === null) return new Map()
  if (!isMap(document.contents)) throw new FleetError('bad-input', `${path}:1: expected settings as "key: value"`)
  const settings = new Map<string, Setting>()
  for (const pair of document.contents.items) {
    if (!isScalar(pair.key)) continue
    const key = String(pair.key.value)
    const line = lines.linePos(pair.key.range?.[0] ?? 0).line
    if (!(key in configSchema.shape)) {
      const near = nearest(key, Object.keys(configSchema.shape))
      throw new FleetError(
        'bad-input',
        `${path}:${line}: unknown setting ${JSON.stringify(key)}${near === undefined ? '' : `; did you mean ${near}?`}`,
      )
    }
    settings.set(key, { value: (pair.value as { toJSON?: () => unknown } | null)?.toJSON?.() ?? undefined, line })
  }
  return settings
}

/** The name at most two edits away, if there is one (Levenshtein distance). */
function nearest(name: string, names: readonly string[]): string | undefined {
  const distance = (a: string, b: string): number => {
    let row = Array.from({ length: b.length + 1 }, (_, index) => index)
    for (let i = 1; i <= a.length; i++) {
      const next = [i]
      for (let j = 1; j <= b.length; j++)
        next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + Number(a[i - 1] !== b[j - 1]))
      row = next
    }
    return row[b.length]!
  }
  const ranked = names
    .map(candidate => ({ candidate, edits: distance(name, candidate) }))
    .sort((a, b) => a.edits - b.edits)
  return ranked[0] !== undefined && ranked[0].edits <= 2 ? ranked[0].candidate : undefined
}
