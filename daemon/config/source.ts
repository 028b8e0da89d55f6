import * as z from 'zod'
import { FleetError } from '../../protocol/index.ts'
import { nearest } from './nearest.ts'
import { configSchema } from './schema.ts'

type Path = readonly PropertyKey[]

/** Settings from one place: a file, the environment or the command line. */
export interface Source {
  readonly values: Readonly<Record<string, unknown>>
  /** Where a setting stands, for messages: `fleetd.yaml:3`, `FLEETD_NAME`, `--name`. `key`: the key itself and not its value is meant. */
  where(path: Path, key?: string): string
  /** True when `where` names the setting already. */
  readonly named: boolean
}

/** Throws `bad-input` saying where the first mistake stands, what was found and what was expected. */
export function check(source: Source): void {
  const result = configSchema.safeParse(source.values)
  if (!result.success) throw new FleetError('bad-input', explain(source, result.error.issues[0]!))
}

function explain(source: Source, issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!
    const known = keysAt(configSchema, issue.path, source.values)
    const near = nearest(key, known)
    const inside = issue.path.length === 0 ? '' : ` in ${dotted(issue.path)}`
    const hint = near !== undefined ? `did you mean ${near}?` : `expected one of ${known.join(', ')}`
    return `${source.where(issue.path, key)}: unknown setting ${JSON.stringify(key)}${inside}; ${hint}`
  }
  const name = source.named && issue.path.length <= 2 ? '' : `${dotted(issue.path)}: `
  return `${source.where(issue.path)}: ${name}${expectation(issue)}${found(source.values, issue)}`
}

function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `expected ${KINDS[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `expected ${issue.values.length === 1 ? '' : 'one of '}${issue.values.map(String).join(', ')}`
    case 'too_small':
      return `expected at least ${issue.minimum}${UNITS[issue.origin] ?? ''}`
    case 'too_big':
      return `expected at most ${issue.maximum}${UNITS[issue.origin] ?? ''}`
    case 'invalid_key':
      return issue.issues[0]?.message ?? issue.message
    case 'invalid_format':
      return issue.format === 'url' ? 'expected a URL with http or https' : issue.message
    default:
      return issue.message
  }
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'settings as "key: value"',
  record: 'settings as "key: value"',
  number: 'a number',
  int: 'a whole number',
}
const UNITS: Readonly<Record<string, string>> = {
  string: ' characters',
  array: ' entries',
}

/** What stands at `path`, in short. An invite is a secret, and so are the values of a program's environment. */
function found(values: unknown, { code, path }: z.core.$ZodIssue): string {
  if (code === 'invalid_key') return `, found ${JSON.stringify(path.at(-1))}`
  let value = values
  for (const step of path) {
    if (typeof value !== 'object' || value === null) break
    value = (value as Record<PropertyKey, unknown>)[step]
  }
  if (value === undefined) return ', found nothing'
  if (value === null) return ', found an empty value'
  if (Array.isArray(value)) return `, found a list of ${value.length}`
  if (typeof value === 'object') return ''
  const quotes = typeof value !== 'string' && path.includes('env') ? '; put it in quotes' : ''
  if (path[0] === 'join' || path.includes('env'))
    return `, found ${typeof value === 'string' ? 'other text' : `a ${typeof value}`}${quotes}`
  return `, found ${JSON.stringify(value).slice(0, 80)}`
}

const dotted = (path: Path): string => path.map(String).join('.')

/** The keys that the schema knows at `path`; of alternatives, those of the one that `values` is meant to be. */
function keysAt(schema: z.core.$ZodType, path: Path, values: unknown): string[] {
  let at = chosen(schema, values)
  let value = values
  for (const step of path) {
    value = (value as Record<PropertyKey, unknown> | undefined)?.[step]
    if (at instanceof z.ZodObject) at = chosen(at.shape[String(step)], value)
    else if (at instanceof z.ZodRecord) at = chosen(at.valueType, value)
    else if (at instanceof z.ZodArray) at = chosen(at.element, value)
  }
  return at instanceof z.ZodObject ? Object.keys(at.shape) : []
}

/** The schema itself, without what is wrapped around it, and of a union the alternative whose discriminator `value` has. */
function chosen(schema: unknown, value: unknown): unknown {
  const at = bare(schema)
  if (!(at instanceof z.ZodDiscriminatedUnion)) return at
  const { discriminator } = at.def
  const named = (value as Record<string, unknown> | undefined)?.[discriminator]
  return at.options.find(
    option => option instanceof z.ZodObject && option.shape[discriminator].safeParse(named).success,
  )
}

function bare(schema: unknown): unknown {
  return schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault || schema instanceof z.ZodOptional
    ? bare(schema.unwrap())
    : schema
}
