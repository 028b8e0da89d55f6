// Builds dist/fleetd.js and dist/fleetctl.js: one file each, so that they start fast.
// `--install` first installs the dependencies where the checkout has none.
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, cpSync, existsSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

const FROM_COMMONJS =
  "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);"

/**
 * How the daemon is started. It is mostly idle: a small nursery, a malloc that gives network buffers back to the system, a collection now and
 * then (daemon/tidy.ts) in place of V8's own, and late optimization with no step before it. Each with its figures in docs/decisions/0007.
 */
const DAEMON_LINE =
  '#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_TOP_PAD_=16384 ' +
  'node --max-semi-space-size=2 --optimize-for-size --no-memory-reducer --interrupt-budget=2000000 --no-sparkplug --expose-gc'
// Linux cuts off what is longer and starts the rest without a word (BINPRM_BUF_SIZE; execve(2), since 5.1).
if (DAEMON_LINE.length > 254) throw new Error(`the daemon's first line has ${DAEMON_LINE.length} characters`)

/**
 * What few daemons need stays outside their bundle: the source, and the file beside the daemon that it becomes.
 * @type {Record<string, string>}
 */
const APART = {
  'daemon/network/relay/library.ts': 'fleetd-relay.js',
  'daemon/api/certificate.ts': 'fleetd-certificate.js',
}

if (import.meta.filename === process.argv[1]) {
  if (process.argv.includes('--install') && !existsSync('node_modules/.package-lock.json')) {
    const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
  rmSync('dist', { recursive: true, force: true })
  await bundleDaemon('dist/fleetd.js')
  copyLauncher('dist')
  await bundleControl('dist')
  await bundlePage('dist/page')
}

/**
 * Bundles the daemon, and beside it what it loads when needed. `instead` replaces modules: paths of this project as imported, with what is bundled in their place. Tests make
 * misbehaving daemons so.
 * @param {string} outfile
 * @param {Record<string, string>} [instead]
 * @param {string} [version] instead of package.json's
 */
export async function bundleDaemon(outfile, instead = {}, version = undefined) {
  const { build } = await import('esbuild')
  await build({
    ...common(version),
    entryPoints: ['daemon/main.ts'],
    outfile,
    format: 'esm',
    // classic-level finds its native prebuild beside its own package.json, so it stays outside the bundle.
    external: ['classic-level'],
    banner: { js: `${DAEMON_LINE}\n${FROM_COMMONJS}` },
    plugins: [
      {
        // zod's messages in every language but English are a tenth of the whole, and never shown.
        name: 'only-english',
        setup({ onResolve }) {
          onResolve({ filter: /\/locales\/index\.js$/ }, ({ resolveDir, importer }) =>
            /\/zod\/v4\//.test(importer) ? { path: resolve(resolveDir, '../locales/en.js') } : undefined,
          )
        },
      },
      {
        name: 'instead',
        setup({ onResolve }) {
          onResolve({ filter: /^\./ }, ({ path, resolveDir, importer, kind }) => {
            const source = relative('.', resolve(resolveDir, path))
            if (kind === 'dynamic-import' && source in APART) return { path: `./${APART[source]}`, external: true }
            const other = instead[source]
            return other === undefined || importer === resolve(other) ? undefined : { path: resolve(other) }
          })
        },
      },
    ],
  })
  chmodSync(outfile, 0o755)
  for (const [source, name] of Object.entries(APART))
    await build({
      ...common(version),
      entryPoints: [source],
      outfile: join(dirname(outfile), name),
      format: 'esm',
      banner: { js: FROM_COMMONJS },
    })
}

/**
 * An image of fleetd for layers with driver `agent`: the daemon, what it loads, and the native module that stays outside the bundle.
 * @param {string} directory
 * @param {{ version?: string, instead?: Record<string, string> }} [options]
 */
export async function bundleAgent(directory, { version, instead } = {}) {
  await bundleDaemon(join(directory, 'fleetd.js'), instead, version)
  await bundlePage(join(directory, 'page'))
  for (const name of closureOf('classic-level')) {
    const from = join('node_modules', name)
    cpSync(from, join(directory, from), {
      recursive: true,
      filter: path => !/\/(deps|test|node_modules\/.bin)$/.test(path),
    })
  }
}

/**
 * A package and all that it needs to run.
 * @param {string} name
 * @param {Set<string>} [found]
 */
function closureOf(name, found = new Set()) {
  if (found.has(name)) return found
  found.add(name)
  const { dependencies = {} } = JSON.parse(readFileSync(join('node_modules', name, 'package.json'), 'utf8'))
  for (const other of Object.keys(dependencies)) closureOf(other, found)
  return found
}

/** @param {string} outdir */
function copyLauncher(outdir) {
  copyFileSync('daemon/launcher/fleetd-launcher.sh', join(outdir, 'fleetd-launcher'))
  chmodSync(join(outdir, 'fleetd-launcher'), 0o755)
}

/**
 * Bundles fleetctl, split in two by its one dynamic import: what asks the daemon, and what signs (cli/signing), whose schemas
 * take longer to parse than the rest takes to run. In one file, `fleetctl members` takes 30 ms more (docs/decisions/0008).
 * @param {string} outdir
 */
async function bundleControl(outdir) {
  const { build } = await import('esbuild')
  await build({
    ...common(),
    entryPoints: { fleetctl: 'cli/main.ts' },
    outdir,
    format: 'esm',
    splitting: true,
    chunkNames: 'fleetctl-[hash]',
    keepNames: false,
    // commander loads it for commands that are programs of their own; fleetctl has none, and it costs 5 ms.
    alias: { 'node:child_process': './cli/no-child-process.ts' },
    banner: { js: `#!/usr/bin/env node\n${FROM_COMMONJS}` },
  })
  chmodSync(`${outdir}/fleetctl.js`, 0o755)
}

/**
 * Bundles the web page: a script, a style sheet and the two files that need no building. The daemon reads them when a browser asks.
 * @param {string} outdir
 */
export async function bundlePage(outdir) {
  const { build } = await import('esbuild')
  const from = 'daemon/web/page'
  await build({
    bundle: true,
    minify: true,
    entryPoints: { page: `${from}/main.tsx` },
    outdir,
    format: 'esm',
    target: ['es2022'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'warning',
  })
  await build({ minify: true, entryPoints: [`${from}/page.css`], outdir, logLevel: 'warning' })
  for (const file of ['index.html', 'icon.svg']) copyFileSync(`${from}/${file}`, `${outdir}/${file}`)
}

/**
 * @param {string} [version] instead of package.json's
 * @returns {import('esbuild').BuildOptions}
 */
function common(version = JSON.parse(readFileSync('package.json', 'utf8')).version) {
  return {
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    define: { __VERSION__: JSON.stringify(version) },
    logLevel: 'warning',
  }
}
