import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Computer } from '../support/hosts.ts'
import { eventually } from '../support/wait.ts'

/*
 * Follows a document as a person would. What is typed stands in fences of `sh`; a first line `# on beta` says where (`# on every host`: everywhere), and
 * without one it is where it was before. What a file holds stands in a fence of its language whose first line is a comment with its name. Anything else
 * is only to be read. Where a line begins with `$ `, the lines below are what it prints: digits may differ, and so may spaces, and ` ...` stands for
 * anything. A line that ends with `# not followed: WHY` is not typed.
 */

export interface Step {
  readonly line: string
  /** Names of computers, or undefined for the one of the step before. */
  readonly on: readonly string[] | 'every' | undefined
  /** What it prints, where the document says so. */
  readonly prints: readonly string[]
  /** A trailing `# exit 5`. */
  readonly code: number
}
export interface FileStep {
  readonly file: string
  readonly content: string
}
/** What happens to a host, and is no command: `<!-- beta: cable down -->`, `cable up`, or `power off` (its daemon is killed). */
export interface Mishap {
  readonly computer: string
  readonly what: string
}

/** The steps of a document in their order. */
export function stepsOf(markdown: string): (Step | FileStep | Mishap)[] {
  const parts = markdown.matchAll(/^```(\w+)\n([\s\S]*?)^```$|^<!-- (\w+): (cable down|cable up|power off) -->$/gm)
  return [...parts].flatMap(([, language, body, computer, what]): (Step | FileStep | Mishap)[] => {
    if (computer !== undefined) return [{ computer, what: what! }]
    const lines = body!.trimEnd().split('\n')
    if (language === 'sh') return commands(lines)
    const named = /^(?:#|\/\/) (~\/)?([\w./-]+\.\w+)$/.exec(lines[0] ?? '')
    return named === null ? [] : [{ file: named[2]!, content: lines.slice(1).join('\n') + '\n' }]
  })
}

function commands(lines: readonly string[]): Step[] {
  let on: Step['on']
  const steps: Step[] = []
  let open = ''
  let prompted = false
  for (const line of lines) {
    const where = /^# on ([\w ,]+)$/.exec(line)?.[1]
    if (where !== undefined) {
      on = where === 'every host' ? 'every' : where.split(/, | and /)
      continue
    }
    if (open === '' && (line.trim() === '' || line.startsWith('#'))) continue
    if (prompted && open === '' && !line.startsWith('$ ')) {
      const last = steps.pop()!
      steps.push({ ...last, prints: [...last.prints, line] })
      continue
    }
    if (line.startsWith('$ ')) prompted = true
    open += open === '' ? line.replace(/^\$ /, '') : `\n${line}`
    if (line.endsWith('\\')) continue
    if (!/ # not followed: \S/.test(open))
      steps.push({ line: open, on, prints: [], code: Number(/ # exit (\d+)/.exec(open)?.[1] ?? 0) })
    on = undefined
    open = ''
  }
  // Where a block goes on where it began: each of its lines is typed there.
  return steps.map((step, at) => ({ ...step, on: step.on ?? (at > 0 ? steps[0]!.on : undefined) }))
}

/** Does all of it. Throws at the first line that does not do what the document says, with what it printed. */
export async function follow(
  markdown: string,
  computers: ReadonlyMap<string, Computer>,
  { patience = 60 }: { /** How long news may take to arrive, seconds. */ readonly patience?: number } = {},
): Promise<number> {
  let here: readonly Computer[] = [[...computers.values()][0]!]
  let token = ''
  let typed = 0
  for (const step of stepsOf(markdown)) {
    if ('computer' in step) {
      const computer = known(computers, step.computer)
      if (step.what === 'power off') await computer.powerOff()
      else computer.cable(step.what === 'cable up' ? 'up' : 'down')
      continue
    }
    if ('file' in step) {
      for (const { home } of computers.values()) {
        mkdirSync(dirname(join(home, step.file)), { recursive: true })
        writeFileSync(join(home, step.file), step.content)
      }
      continue
    }
    if (step.on === 'every') here = [...computers.values()]
    else if (step.on !== undefined) here = step.on.map(name => known(computers, name))
    // The one thing in a document that nobody can know: the token that an invite printed a moment ago.
    const line = step.line.replaceAll(/\bfleet1\.\w+\.\.\./g, () => token).replaceAll(/\bTOKEN\b/g, () => token)
    for (const computer of here) {
      typed++
      if (/^fleetd (?!.*--(check-config|help|version))/.test(line)) await computer.daemon(line)
      else {
        const output = await type(computer, { ...step, line }, patience)
        token = /fleet1\.[\w-]{20,}/.exec(output)?.[0] ?? token
      }
    }
  }
  return typed
}

function known(computers: ReadonlyMap<string, Computer>, name: string): Computer {
  const found = computers.get(name)
  if (found === undefined)
    throw new Error(`the document speaks of the host ${name}; the test made ${[...computers.keys()].join(', ')}`)
  return found
}

/** A line whose output is shown is typed until it prints that: news takes a moment to arrive. */
async function type(computer: Computer, { line, prints, code }: Step, seconds: number): Promise<string> {
  let saw = { code: -1, output: '' }
  const once = async (): Promise<boolean> => {
    saw = await computer.type(line)
    const printed = saw.output.split('\n').map(likeness)
    return saw.code === code && prints.every(wanted => printed.some(isLike(wanted)))
  }
  const fits =
    (await once()) || (prints.length > 0 && (await eventually('', once, { seconds, everyMs: 300 }).catch(() => false)))
  if (!fits)
    throw new Error(
      `on ${computer.name}: ${line}\nexited with ${saw.code} and printed:\n${saw.output}\nand not:\n${prints.join('\n') || `(exit ${code})`}`,
    )
  return saw.output
}

/** Whether a line of output is what the document shows, ` ...` standing for anything. */
function isLike(shown: string): (printed: string) => boolean {
  const parts = shown.split(/ ?\.\.\.(?= |$)/).map(likeness)
  const pattern = new RegExp(`^${parts.map(part => part.replaceAll(/[^\w ]/g, '\\$&')).join('.*')}$`, 's')
  return printed => pattern.test(printed)
}

/** A line of output without what differs from run to run: digits, digests and widths. */
const likeness = (line: string): string =>
  line
    .replaceAll(/\b(?=\w*\d)[0-9a-f]{6,}\b/g, '#')
    .replaceAll(/\d+([.:]\d+)*/g, '0')
    .replaceAll(/\s+/g, ' ')
    .trim()
