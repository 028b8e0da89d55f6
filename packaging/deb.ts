import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { arch, tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { texts } from './licences.ts'
import { fleetctl, fleetd } from './man.ts'
import { ARCHITECTURES, type Architecture, writeNative } from './native.ts'
import { assertBuilt, MANIFEST, OUT, ROOT, run, sourceDate } from './project.ts'
import { sbom } from './sbom.ts'

/*
 * Makes the Debian package of what is built in dist/: npm run package:deb. It needs dpkg-deb and no root, and the same commit gives the same
 * bytes. --architecture makes it for another one, as all that differs is one file.
 */

interface Deb {
  /** As package.json writes it. */
  readonly version: string
  readonly architecture: Architecture
  /** The folder that it is written to. */
  readonly out: string
}

/** Writes the package and gives its path. Throws when dist/ is missing or dpkg-deb is not there. */
export async function makeDeb({ version, architecture, out }: Deb): Promise<string> {
  assertBuilt()
  // Whatever the mask of whoever makes it: the package's files are for everybody.
  const mask = process.umask(0o022)
  const tree = mkdtempSync(join(tmpdir(), 'fleetd-deb-'))
  chmodSync(tree, 0o755)
  try {
    await fill(tree, architecture)
    control(tree, version, architecture)
    mkdirSync(out, { recursive: true })
    const file = join(out, `fleetd_${debianVersion(version)}_${architecture}.deb`)
    run('dpkg-deb', ['--build', '--root-owner-group', '-Zxz', tree, file], { SOURCE_DATE_EPOCH: sourceDate() })
    return file
  } finally {
    rmSync(tree, { recursive: true, force: true })
    process.umask(mask)
  }
}

/** 1.0.0-rc.1 comes before 1.0.0, and a tilde says so to dpkg: deb-version(7). */
export const debianVersion = (version: string): string => version.replace('-', '~')

async function fill(tree: string, architecture: Architecture): Promise<void> {
  const put = (path: string, content: string | Buffer): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    writeFileSync(join(tree, path), content)
  }
  const library = join(tree, 'usr/lib/fleetd')
  cpSync(resolve(ROOT, 'dist'), library, { recursive: true })
  // They are modules of ECMAScript, which node learns from the package.json beside them.
  put('usr/lib/fleetd/package.json', `${JSON.stringify({ type: 'module' })}\n`)
  await writeNative(library, architecture)
  mkdirSync(join(tree, 'usr/bin'), { recursive: true })
  for (const [program, path] of Object.entries(MANIFEST.bin))
    symlinkSync(`../lib/fleetd/${basename(path)}`, join(tree, 'usr/bin', program))

  put('usr/lib/systemd/system/fleetd.service', readFileSync(source('fleetd.service')))
  put('etc/fleetd/fleetd.yaml', readFileSync(source('fleetd.yaml')))
  put('usr/share/man/man1/fleetctl.1.gz', gzipSync(fleetctl(), { level: 9 }))
  put('usr/share/man/man8/fleetd.8.gz', gzipSync(fleetd(), { level: 9 }))
  put('usr/share/doc/fleetd/sbom.cdx.json.gz', gzipSync(sbom(), { level: 9 }))
  const own = readFileSync(resolve(ROOT, 'LICENSE'), 'utf8')
  put('usr/share/doc/fleetd/copyright', `fleetd (${MANIFEST.license})\n\n${own}\n${'-'.repeat(78)}\n\n${texts()}`)
}

function control(tree: string, version: string, architecture: Architecture): void {
  const folder = join(tree, 'DEBIAN')
  mkdirSync(folder)
  const node = MANIFEST.engines.node.replace('>=', '')
  writeFileSync(
    join(folder, 'control'),
    [
      'Package: fleetd',
      `Version: ${debianVersion(version)}`,
      `Architecture: ${architecture}`,
      'Maintainer: The fleetd project <packages@fleetd.invalid>',
      'Section: admin',
      'Priority: optional',
      `Depends: nodejs (>= ${node}), adduser, init-system-helpers (>= 1.54), libc6, libstdc++6`,
      'Description: peer-to-peer daemon for fleets that replace themselves',
      ' Every host of a fleet runs it: the daemons know who is a member and how it is,',
      ' pass images to each other in verified chunks, and replace what they run, a few',
      ' at a time, with no central server. fleetctl asks and commands it.',
      '',
    ].join('\n'),
  )
  writeFileSync(join(folder, 'conffiles'), '/etc/fleetd/fleetd.yaml\n')
  for (const script of ['postinst', 'prerm', 'postrm']) copyFileSync(source(script), join(folder, script))
}

const source = (name: string): string => resolve(ROOT, 'packaging/debian', name)

/** This machine's, in Debian's words. */
export function ownArchitecture(): Architecture {
  const name = ({ x64: 'amd64', arm64: 'arm64', arm: 'armhf' } as Record<string, Architecture>)[arch()]
  if (name === undefined)
    throw new Error(`no package is made for ${arch()}; there is ${Object.keys(ARCHITECTURES).join(', ')}`)
  return name
}

if (import.meta.filename === process.argv[1]) {
  const { values } = parseArgs({ options: { architecture: { type: 'string' }, out: { type: 'string', default: OUT } } })
  const architecture = values.architecture ?? ownArchitecture()
  if (!(architecture in ARCHITECTURES))
    throw new Error(`unknown architecture ${architecture}; there is ${Object.keys(ARCHITECTURES).join(', ')}`)
  const made = await makeDeb({ version: MANIFEST.version, architecture: architecture as Architecture, out: values.out })
  process.stdout.write(`${made}\n`)
}
