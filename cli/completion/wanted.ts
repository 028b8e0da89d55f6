import type { Command, Option } from 'commander'

/** A word that may come next, and what it is. */
export interface Candidate {
  readonly word: string
  readonly help: string
}

/** Names that only the daemon knows. */
export const LIVE = ['node', 'image', 'group', 'zone', 'layer', 'service', 'evidence', 'generation'] as const
export type Live = (typeof LIVE)[number]

/** What belongs at the end of a line. */
export interface Wanted {
  /** Words that are known without a daemon, and begin as the last one does. */
  readonly words: readonly Candidate[]
  readonly live?: Live
  readonly files: boolean
  /** The last word as far as it is typed; of `--flag=value` only the value. */
  readonly typed: string
  /** `--flag=`, which every candidate has in front of it again. */
  readonly before: string
  /** Options that were given before, by name: `api`, `group`. */
  readonly given: Readonly<Record<string, string>>
}

/** What the placeholder in `<...>` or `[...]` asks for. */
const MEANING: Readonly<Record<string, Live | 'files'>> = {
  node: 'node',
  a: 'node',
  b: 'node',
  image: 'image',
  group: 'group',
  zone: 'zone',
  layer: 'layer',
  digest: 'evidence',
  generation: 'generation',
  path: 'files',
  file: 'files',
  'plan.yaml': 'files',
}

/**
 * Reads a command line that is not finished; its last word is the one to complete, and may be empty. `program` is filled in for it (see
 * createProgram).
 */
export function wantedBy(program: Command, line: readonly string[]): Wanted {
  const typed = line.at(-1) ?? ''
  const { command, place, awaiting, given, onlyArguments } = readBefore(program, line.slice(0, -1))
  const nothing = { words: [], files: false, typed, before: '', given }
  if (awaiting !== undefined) return { ...nothing, ...valuesOf(awaiting, typed) }
  if (typed.startsWith('-') && !onlyArguments) {
    const [, flag = '', value] = /^(--[\w-]+)=(.*)$/s.exec(typed) ?? []
    const option = optionOf(command, flag)
    if (option !== undefined && value !== undefined)
      return { ...nothing, ...valuesOf(option, value), typed: value, before: `${flag}=` }
    return { ...nothing, words: beginning(flagsOf(command), typed) }
  }
  if (command.commands.length > 0) {
    const words = command.commands.map(each => ({ word: each.name(), help: each.description() }))
    return { ...nothing, words: beginning(words, typed) }
  }
  const declared = command.registeredArguments
  const argument = declared[Math.min(place, declared.length - 1)]
  if (argument === undefined || (place >= declared.length && !argument.variadic)) return nothing
  if (argument.argChoices !== undefined)
    return { ...nothing, words: beginning(argument.argChoices.map(toCandidate), typed) }
  return { ...nothing, ...meaningOf(command.name() === 'services' ? 'service' : argument.name()) }
}

interface Before {
  readonly command: Command
  /** How many arguments stand there. */
  readonly place: number
  /** The option whose value comes next. */
  readonly awaiting: Option | undefined
  readonly given: Readonly<Record<string, string>>
  /** After `--`. */
  readonly onlyArguments: boolean
}

function readBefore(program: Command, words: readonly string[]): Before {
  let command = program
  let place = 0
  let awaiting: Option | undefined
  let onlyArguments = false
  const given: Record<string, string> = {}
  for (const word of words) {
    if (awaiting !== undefined) {
      given[awaiting.attributeName()] = word
      awaiting = undefined
    } else if (onlyArguments) place += 1
    else if (word === '--') onlyArguments = true
    else if (word.startsWith('-') && word !== '-') {
      const at = word.indexOf('=')
      const option = optionOf(command, at < 0 ? word : word.slice(0, at))
      if (option === undefined || !takesValue(option)) continue
      if (at < 0) awaiting = option
      else given[option.attributeName()] = word.slice(at + 1)
    } else {
      const next = command.commands.find(each => each.name() === word)
      if (next === undefined) place += 1
      else command = next
    }
  }
  return { command, place, awaiting, given, onlyArguments }
}

const takesValue = (option: Option): boolean => option.required || option.optional

/** Of the command, or of the program that it belongs to. */
function optionOf(command: Command, flag: string): Option | undefined {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const found = at.options.find(option => option.long === flag || option.short === flag)
    if (found !== undefined) return found
  }
  return undefined
}

function flagsOf(command: Command): Candidate[] {
  const flags: Candidate[] = []
  for (let at: Command | null = command; at !== null; at = at.parent)
    flags.push(...at.options.map(option => ({ word: option.long!, help: option.description })))
  return [...flags, { word: '--help', help: 'what it does, with an example' }]
}

function valuesOf(option: Option, typed: string): Pick<Wanted, 'words' | 'files'> & { live?: Live } {
  const { choices } = (option.parseArg ?? {}) as { choices?: readonly string[] }
  if (choices !== undefined) return { words: beginning(choices.map(toCandidate), typed), files: false }
  return meaningOf(/[<[]([^>\]]*)[>\]]/.exec(option.flags)?.[1] ?? '')
}

function meaningOf(placeholder: string): Pick<Wanted, 'words' | 'files'> & { live?: Live } {
  const meaning = placeholder === 'service' ? 'service' : MEANING[placeholder]
  if (meaning === 'files') return { words: [], files: true }
  return meaning === undefined ? { words: [], files: false } : { words: [], files: false, live: meaning }
}

const toCandidate = (word: string): Candidate => ({ word, help: '' })

export const beginning = (candidates: readonly Candidate[], typed: string): Candidate[] =>
  candidates.filter(({ word }) => word.startsWith(typed))
