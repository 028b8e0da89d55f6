import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import satisfies from 'spdx-satisfies'
import { ROOT } from './project.ts'

/*
 * What fleetd is made of, under which licences: `tsx packaging/licences.ts` is a part of the lint and fails on a licence that is not named
 * here. Run with --texts it prints the licences of all that is in the packages, which their terms want to be passed on.
 */

/** What may be a part of the programs: the terms ask for no more than that their text is passed on. */
const SHIPPED = [
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'Unlicense',
]
/** What may also build and test them: their terms are about passing on or changing, and neither is done. */
const USED = [...SHIPPED, 'CC-BY-3.0', 'CC-BY-4.0', 'MPL-2.0']

export interface Part {
  /** Where it lies, as `node_modules/zod`. */
  readonly path: string
  readonly version: string
  /** An SPDX expression; undefined where it names none. */
  readonly licence: string | undefined
  /** Only builds or tests. */
  readonly dev: boolean
}

/** Every package of package-lock.json. */
export function parts(): Part[] {
  const { packages } = JSON.parse(readFileSync(resolve(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { version: string; license?: string; dev?: boolean }>
  }
  return Object.entries(packages)
    .filter(([path]) => path !== '')
    .map(([path, { version, license, dev }]) => ({ path, version, licence: license, dev: dev === true }))
}

/** One sentence for each part whose licence was not agreed to. */
export function objections(of: readonly Part[]): string[] {
  return of.flatMap(({ path, version, licence, dev }) => {
    const name = `${path.replace(/^.*node_modules\//, '')} ${version}`
    if (licence === undefined) return [`${name} names no licence; look into it and use another package if it has none`]
    const allowed = dev ? USED : SHIPPED
    if (isAllowed(licence, allowed)) return []
    return [`${name} has the licence ${licence}, which is not in packaging/licences.ts (${dev ? 'USED' : 'SHIPPED'})`]
  })
}

function isAllowed(licence: string, allowed: readonly string[]): boolean {
  try {
    return satisfies(licence, [...allowed])
  } catch {
    // Not an SPDX expression: "SEE LICENSE IN ...".
    return false
  }
}

/** The licence texts of all that is in the packages. The same text of many holders stands once for each: it names them. */
export function texts(): string {
  return parts()
    .filter(({ dev, path }) => !dev && existsSync(resolve(ROOT, path)))
    .map(({ path, version, licence }) => {
      const folder = resolve(ROOT, path)
      const file = readdirSync(folder).find(name => /^(licen[cs]e|copying)(?!.*\.js)/i.test(name))
      const text =
        file === undefined
          ? `${licence}; the package holds no text of it`
          : readFileSync(resolve(folder, file), 'utf8').trim()
      return `${path.replace(/^node_modules\//, '')} ${version} (${licence})\n\n${text}\n`
    })
    .join(`\n${'-'.repeat(78)}\n\n`)
}

if (import.meta.filename === process.argv[1]) {
  if (process.argv.includes('--texts')) process.stdout.write(texts())
  else {
    const found = objections(parts())
    for (const objection of found) process.stderr.write(`licences: ${objection}\n`)
    process.exitCode = found.length > 0 ? 1 : 0
  }
}
