// Builds dist/fleetd.js and dist/fleetctl.js: one file each, so that they start fast.
// `--install` first installs the dependencies where the checkout has none.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs'

if (process.argv.includes('--install') && !existsSync('node_modules/.package-lock.json')) {
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund'], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

const { build } = await import('esbuild')
const { version } = JSON.parse(readFileSync('package.json', 'utf8'))
rmSync('dist', { recursive: true, force: true })

const common = {
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  minify: true,
  keepNames: true,
  legalComments: 'none',
  define: { __VERSION__: JSON.stringify(version) },
  logLevel: 'warning',
  metafile: true,
}

await build({
  ...common,
  entryPoints: ['daemon/main.ts'],
  outfile: 'dist/fleetd.js',
  format: 'esm',
  // classic-level finds its native prebuild beside its own package.json, so it stays outside the bundle.
  external: ['classic-level'],
  // A daemon is mostly idle: a small nursery, a malloc that gives network buffers back to the system, and a collection now and then
  // (daemon/main.ts) keep about 15 MB less resident, measured with 14 daemons (docs/decisions/0007).
  banner: {
    js: "#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=65536 MALLOC_TOP_PAD_=16384 node --max-semi-space-size=1 --expose-gc\nimport{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
})
// fleetctl is split in two by its one dynamic import: what asks the daemon, and what signs (cli/signing), whose schemas
// take longer to parse than the rest takes to run. In one file, `fleetctl members` takes 30 ms more.
await build({
  ...common,
  entryPoints: { fleetctl: 'cli/main.ts' },
  outdir: 'dist',
  format: 'esm',
  splitting: true,
  chunkNames: 'fleetctl-[hash]',
  keepNames: false,
  // commander loads it for commands that are programs of their own; fleetctl has none, and it costs 5 ms.
  alias: { 'node:child_process': './cli/no-child-process.ts' },
  banner: {
    js: "#!/usr/bin/env node\nimport{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
})
for (const file of ['dist/fleetd.js', 'dist/fleetctl.js']) chmodSync(file, 0o755)
