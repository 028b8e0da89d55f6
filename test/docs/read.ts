import { TREE } from '../../cli/program.ts'
import type { Flag, Spec } from '../../cli/spec.ts'
import { ALL_OPTIONS } from '../../daemon/config/options.ts'

// What a document of markdown holds, as far as it can be compared with what there is.

export interface Fence {
  readonly language: string
  readonly body: string
}

export const fencesOf = (markdown: string): Fence[] =>
  [...markdown.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, body]) => ({
    language: language!,
    body: body!,
  }))

const prose = (markdown: string): string => markdown.replaceAll(/^```[\s\S]*?^```$/gm, '')
const inlineOf = (markdown: string): string[] => [...prose(markdown).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!)

/** Targets of links and pictures that are not on the web, with their headings. */
export const linksOf = (markdown: string): string[] =>
  [...prose(markdown).matchAll(/\]\(([^)\s]+)\)/g)].map(([, to]) => to!).filter(to => !/^[a-z]+:/.test(to))

/** The anchors of headings, as GitHub makes them. */
export const headingsOf = (markdown: string): string[] =>
  [...prose(markdown).matchAll(/^#+ (.+)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

/** Paths of this project in running text, such as `daemon/keep/` or `cli/spec.ts`. What stands for many, as `NAME.ts`, is none. */
export const pathsOf = (markdown: string): string[] =>
  inlineOf(markdown).filter(code =>
    /^(protocol|membership|rollout|daemon|cli|test|bench|packaging|docs)\/[\w./*-]*$/.test(code),
  )

/** Lines of shell in fences, and in running text, that begin with one of our programs or npm, without what is around them. */
export const commandsOf = (markdown: string): string[] =>
  [
    ...fencesOf(markdown)
      .filter(({ language }) => language === 'sh')
      .flatMap(({ body }) => body.replaceAll('\\\n', ' ').split('\n')),
    ...inlineOf(markdown),
  ]
    .map(line => line.replace(/^\$ /, ''))
    .flatMap(line => line.split(/ && |; |[|] |\$\(|<\(/))
    .map(line =>
      line
        .replace(/ +#.*$/, '')
        .replace(/^(sudo|npx|time) /, '')
        .trim(),
    )
    .filter(line => /^(fleetctl|fleetd|npm run) [\w-]/.test(line))

const GLOBAL = [
  '--api',
  '--api-token-file',
  '--api-fingerprint',
  '--format',
  '--timeout',
  '--no-color',
  '--key',
  '--help',
  '--version',
]
const long = ({ flags }: Pick<Flag, 'flags'>): string => /--[\w-]+/.exec(flags)![0]
const DAEMON = [...ALL_OPTIONS.map(long), '--config', '--check-config', '--help', '--version']

/** What is wrong with a command line as far as names go; undefined when nothing is. */
export function problemIn(command: string, scripts: readonly string[]): string | undefined {
  const [program, ...words] = command.replaceAll(/"[^"]*"|'[^']*'/g, 'TEXT').split(/\s+/)
  if (program === 'npm') return scripts.includes(words[1]!) ? undefined : `there is no script ${words[1]}`
  const flags = words.filter(word => /^--\w/.test(word)).map(word => word.replace(/=.*/, ''))
  if (program === 'fleetd') return unknown(flags, DAEMON)
  const spec = specOf(words)
  if (typeof spec === 'string') return spec
  return unknown(flags, [...GLOBAL, ...(spec?.flags ?? []).map(long)])
}

const unknown = (flags: readonly string[], known: readonly string[]): string | undefined => {
  const wrong = flags.find(flag => !known.includes(flag))
  return wrong === undefined ? undefined : `there is no flag ${wrong}`
}

const nameOf = ({ usage }: Spec): string => usage.split(' ')[0]!

/** The command that is meant; undefined where only flags are given; what is wrong where there is none. */
function specOf(words: readonly string[]): Spec | string | undefined {
  const named = words.findIndex(
    (word, at) =>
      !word.startsWith('-') && !/^--(api|api-token-file|api-fingerprint|format|timeout|key)$/.test(words[at - 1] ?? ''),
  )
  if (named < 0) return undefined
  const [first, second] = words.slice(named)
  // Stands for any of them.
  if (first === 'COMMAND') return undefined
  const group = TREE.groups.find(({ name }) => name === first)
  const spec = (group?.commands ?? TREE.commands).find(each => nameOf(each) === (group === undefined ? first : second))
  return spec ?? `there is no command ${group === undefined ? first : `${first} ${second ?? ''}`}`
}
