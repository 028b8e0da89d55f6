import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { texts } from './licences.ts'
import { fleetctl, fleetd } from './man.ts'
import { outside } from './native.ts'
import { assertBuilt, MANIFEST, OUT, ROOT, run } from './project.ts'
import { sbom } from './sbom.ts'

/*
 * Makes the npm package of what is built in dist/: npm run package:npm. Nearly all that fleetd needs is in its bundles, so whoever installs
 * it gets one dependency and its handful, and not the forty that it is built of.
 */

/** Writes the tarball into `out` and gives its path. Throws when dist/ is missing. */
export function makeNpm(out: string): string {
  assertBuilt()
  const tree = mkdtempSync(join(tmpdir(), 'fleetd-npm-'))
  try {
    const { name, version, description, license, bin, engines } = MANIFEST
    writeFileSync(
      join(tree, 'package.json'),
      `${JSON.stringify(
        {
          ...{ name, version, description, license, type: 'module', bin, engines },
          man: ['man/fleetctl.1', 'man/fleetd.8'],
          os: ['linux', 'darwin'],
          dependencies: outside,
        },
        null,
        2,
      )}\n`,
    )
    for (const part of ['dist', 'README.md', 'LICENSE'])
      cpSync(resolve(ROOT, part), join(tree, part), { recursive: true })
    mkdirSync(join(tree, 'man'))
    writeFileSync(join(tree, 'man/fleetctl.1'), fleetctl())
    writeFileSync(join(tree, 'man/fleetd.8'), fleetd())
    writeFileSync(join(tree, 'THIRD-PARTY.txt'), texts())
    writeFileSync(join(tree, 'sbom.cdx.json'), sbom())
    mkdirSync(out, { recursive: true })
    const [packed] = JSON.parse(run('npm', ['pack', tree, '--json', '--pack-destination', out])) as {
      filename: string
    }[]
    return join(out, packed!.filename)
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

if (import.meta.filename === process.argv[1]) process.stdout.write(`${makeNpm(OUT)}\n`)
