import { FleetError } from '../../protocol/index.ts'
import { ALL_OPTIONS, type Option, variableOf } from './options.ts'
import type { Source } from './source.ts'

/** The settings among the variables. Others that begin with FLEETD_ are let be: orchestrators set some of their own. */
export function fromEnvironment(env: NodeJS.ProcessEnv): Source {
  const values: Record<string, unknown> = {}
  for (const option of ALL_OPTIONS) {
    const text = env[variableOf(option.key)]
    if (text !== undefined) values[option.key] = parse(option.kind, text, variableOf(option.key))
  }
  return { values, named: true, where: (path, key) => variableOf(key ?? String(path[0])) }
}

/** FLEETD_CONFIG: files, with commas between them. */
export const filesOf = (env: NodeJS.ProcessEnv): string[] => split(env.FLEETD_CONFIG ?? '')

export const checkOnlyOf = (env: NodeJS.ProcessEnv): boolean =>
  env.FLEETD_CHECK_CONFIG !== undefined && parseSwitch(env.FLEETD_CHECK_CONFIG, 'FLEETD_CHECK_CONFIG')

function parse(kind: Option['kind'], text: string, from: string): unknown {
  switch (kind) {
    case 'text':
      return text
    case 'number':
      return parseNumber(text, from)
    case 'list':
      return split(text)
    case 'lines':
      return split(text, '\n')
    case 'tags':
      return parseTags(split(text), from)
    case 'switch':
      return parseSwitch(text, from)
    default:
      return kind satisfies never
  }
}

function parseSwitch(text: string, from: string): boolean {
  if (text === 'true' || text === '1') return true
  if (text === 'false' || text === '0') return false
  throw new FleetError('bad-input', `${from}: expected true or false, found ${JSON.stringify(text.slice(0, 80))}`)
}

/** Throws `bad-input` on what is no whole number. */
export function parseNumber(text: string, from: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text)
  throw new FleetError('bad-input', `${from}: expected a whole number, found ${JSON.stringify(text.slice(0, 80))}`)
}

const split = (text: string, by = ','): string[] =>
  text
    .split(by)
    .map(part => part.trim())
    .filter(part => part !== '')

/** Throws `bad-input` on what is no `key=value`. */
export function parseTags(pairs: readonly string[], from: string): Record<string, string> {
  return Object.fromEntries(
    pairs.map(pair => {
      const equals = pair.indexOf('=')
      if (equals < 1)
        throw new FleetError('bad-input', `${from}: expected key=value, found ${JSON.stringify(pair.slice(0, 80))}`)
      return [pair.slice(0, equals), pair.slice(equals + 1)]
    }),
  )
}
