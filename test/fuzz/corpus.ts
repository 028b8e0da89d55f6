import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, 'corpus')
/** Larger inputs are worth no place in the repository; what is worst about them is written down as a seed of the target. */
const MAX_BYTES = 4 * 1024
const FINDING = 'found-'

/** The inputs that are kept for a target, each in a file that is named by its content. */
export function loadCorpus(target: string): Uint8Array[] {
  const folder = join(ROOT, target)
  return names(folder).map(name => Uint8Array.from(readFileSync(join(folder, name))))
}

/** Puts these inputs in the place of those that were kept. Findings stay. */
export function saveCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const folder = join(ROOT, target)
  for (const name of names(folder)) if (!name.startsWith(FINDING)) rmSync(join(folder, name))
  for (const input of inputs) if (input.byteLength <= MAX_BYTES) save(folder, '', input)
}

/** Keeps an input for good, whatever its size. Gives the file. */
export const saveFinding = (target: string, input: Uint8Array): string => save(join(ROOT, target), FINDING, input)

const names = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : [])

function save(folder: string, prefix: string, input: Uint8Array): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, prefix + createHash('sha256').update(input).digest('hex').slice(0, 16))
  writeFileSync(file, input)
  return file
}
