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
  banner: {
    js: "#!/usr/bin/env node\nimport{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
})
await build({
  ...common,
  entryPoints: ['cli/main.ts'],
  outfile: 'dist/fleetctl.js',
  format: 'esm',
  banner: {
    js: "#!/usr/bin/env node\nimport{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
})
for (const file of ['dist/fleetd.js', 'dist/fleetctl.js']) chmodSync(file, 0o755)
