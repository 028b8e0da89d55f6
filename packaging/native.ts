import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { ROOT } from './project.ts'

/** What the daemon's bundle leaves out, because it finds its native part beside its own package.json (build.mjs). */
const OUTSIDE = 'classic-level'

/** Debian's architectures, and where the native part lies for each. */
export const ARCHITECTURES = {
  amd64: 'linux-x64/classic-level.node',
  arm64: 'linux-arm64/classic-level.armv8.node',
  armhf: 'linux-arm/classic-level.armv7.node',
} as const
export type Architecture = keyof typeof ARCHITECTURES

const folder = resolve(ROOT, 'node_modules', OUTSIDE)
const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }

/** The one package that an installed fleetd depends on, in the version that it was tested with. */
export const outside: Readonly<Record<string, string>> = { [OUTSIDE]: version }

/** Writes that package into `target`/node_modules for one architecture: its script and what that needs in one file, and its native part. */
export async function writeNative(target: string, architecture: Architecture): Promise<void> {
  const into = join(target, 'node_modules', OUTSIDE)
  mkdirSync(into, { recursive: true })
  await build({
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'cjs',
    legalComments: 'none',
    logLevel: 'warning',
    entryPoints: [join(folder, 'index.js')],
    outfile: join(into, 'index.js'),
  })
  writeFileSync(join(into, 'package.json'), `${JSON.stringify({ name: OUTSIDE, version, main: 'index.js' })}\n`)
  const native = join('prebuilds', ARCHITECTURES[architecture])
  cpSync(join(folder, native), join(into, native))
}
