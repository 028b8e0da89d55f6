import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'

/** The checkout that packages are made of. */
export const ROOT = resolve(import.meta.dirname, '..')

/** Where packages are written unless a script is told otherwise. */
export const OUT = resolve(ROOT, 'packages')

interface Manifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly engines: { readonly node: string }
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
}

export const MANIFEST = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8')) as Manifest

/** Runs a program in the checkout and gives what it printed. Throws when it fails; what it said of that is on stderr. */
export function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  return execFileSync(program, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
    maxBuffer: 64 * 1024 * 1024,
  }).toString()
}

/** Throws when the programs were not built. */
export function assertBuilt(): void {
  if (!existsSync(resolve(ROOT, 'dist/fleetd.js'))) throw new Error('dist/ is missing; run: node build.mjs')
}

/**
 * Seconds since 1970 that every file of a package gets, so that the same commit gives the same package:
 * https://reproducible-builds.org/docs/source-date-epoch/. Outside a git checkout it is now.
 */
export function sourceDate(): string {
  if (process.env.SOURCE_DATE_EPOCH !== undefined) return process.env.SOURCE_DATE_EPOCH
  try {
    return execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .trim()
  } catch {
    return String(Math.floor(Date.now() / 1000))
  }
}
