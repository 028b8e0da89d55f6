// A container image with one large layer through the registry: pushed with skopeo at one node and pulled at another while the first is dead.
// Beside it, in the same run, Docker's registry (Debian package docker-registry), which is one process with one copy.
import { execFile, spawn, spawnSync } from 'node:child_process'
import { createHash, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { type Daemon, freePort, sandbox } from '../test/support/daemons.ts'
import { eventually } from '../test/support/wait.ts'
import { type Figure, report } from './report.ts'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '1024' } } })
const MIB = Number(values.mib)
const TARGET_MB = 160

if (spawnSync('skopeo', ['--version']).status !== 0) {
  process.stdout.write('bench:oci needs skopeo (apt-get install skopeo)\n')
  process.exit(1)
}
const box = await sandbox()
const figures: Figure[] = []
try {
  await writeLayout(join(box.dir, 'layout'))
  const registries = await Promise.all([0, 1, 2].map(async () => `127.0.0.1:${await freePort()}`))
  const daemons = await box.fleet(3, index => ({ flags: ['--oci', registries[index]!, '--log-level', 'info'] }))
  figures.push(await timed('fleetd: push', () => push(registries[0]!)))
  figures.push(await timed('fleetd: until two others have it too', () => copied(daemons.slice(1))))
  const peaks = daemons.map(daemon => peakMb(daemon.process.pid!))
  daemons[0]!.kill('SIGKILL')
  await daemons[0]!.exited()
  figures.push(await timed('fleetd: pull elsewhere, the first dead', () => pull(registries[1]!, 'out')))
  for (const daemon of daemons.slice(1)) peaks.push(peakMb(daemon.process.pid!))
  const peak = Math.max(...peaks)
  const target = `under ${TARGET_MB}`
  figures.push({ what: 'fleetd: most resident', value: peak, unit: 'MB', target, held: peak < TARGET_MB })
  await rm(join(box.dir, 'out'), { recursive: true })
  if (spawnSync('docker-registry', ['--version']).status === 0) await besideIt()
  else process.stdout.write('docker-registry is not installed: only fleetd was measured\n')
  report('oci', figures)
} finally {
  await box.close()
}

async function besideIt(): Promise<void> {
  const address = `127.0.0.1:${await freePort()}`
  const config = join(box.dir, 'registry.yml')
  const rootdirectory = join(box.dir, 'registry')
  await writeFile(
    config,
    JSON.stringify({ version: 0.1, storage: { filesystem: { rootdirectory } }, http: { addr: address } }),
  )
  const registry = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
  try {
    await eventually('docker-registry to answer', async () => (await fetch(`http://${address}/v2/`)).ok)
    figures.push(await timed('docker-registry: push', () => push(address)))
    figures.push(await timed('docker-registry: pull', () => pull(address, 'other')))
    figures.push({ what: 'docker-registry: most resident', value: peakMb(registry.pid!), unit: 'MB' })
  } finally {
    registry.kill('SIGKILL')
  }
}

function push(address: string): Promise<void> {
  return skopeo('copy', '--preserve-digests', '--dest-tls-verify=false', 'oci:layout:v1', `docker://${address}/big:v1`)
}
function pull(address: string, into: string): Promise<void> {
  return skopeo('copy', '--preserve-digests', '--src-tls-verify=false', `docker://${address}/big:v1`, `oci:${into}:v1`)
}

function skopeo(...args: string[]): Promise<void> {
  return new Promise((done, fail) => {
    execFile('skopeo', args, { cwd: box.dir }, (error, _stdout, stderr) =>
      error === null ? done() : fail(new Error(`skopeo ${args.join(' ')}: ${stderr}`)),
    )
  })
}

function copied(daemons: readonly Daemon[]): Promise<unknown> {
  return Promise.all(
    daemons.map(daemon =>
      eventually(
        `${daemon.name} to have a copy`,
        async () => {
          const { images } = await daemon.json<{ images: { held: number; chunks: number }[] }>('image', 'list')
          return images.some(({ held, chunks }) => held === chunks)
        },
        { seconds: 300, everyMs: 500 },
      ),
    ),
  )
}

async function timed(what: string, work: () => Promise<unknown>): Promise<Figure> {
  const began = performance.now()
  await work()
  return { what: `${what} ${MIB} MiB`, value: (performance.now() - began) / 1000, unit: 's' }
}

function peakMb(pid: number): number {
  return (Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024) / 1e6
}

/** An OCI image layout with one layer of random bytes. It is no tar: nobody unpacks it. */
async function writeLayout(directory: string): Promise<void> {
  const blobs = join(directory, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (mediaType: string, value: unknown) => {
    const bytes = Buffer.from(JSON.stringify(value))
    const digest = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(blobs, digest), bytes)
    return { mediaType, digest: `sha256:${digest}`, size: bytes.byteLength }
  }
  const hash = createHash('sha256')
  const layer = createWriteStream(join(blobs, 'layer'))
  for (let at = 0; at < MIB; at++) {
    const piece = randomFillSync(Buffer.allocUnsafe(2 ** 20))
    hash.update(piece)
    if (!layer.write(piece)) await once(layer, 'drain')
  }
  await finished(layer.end())
  const digest = hash.digest('hex')
  await rename(join(blobs, 'layer'), join(blobs, digest))
  const config = await put('application/vnd.oci.image.config.v1+json', {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
  })
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await put(mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${digest}`, size: MIB * 2 ** 20 }],
  })
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' }
  await writeFile(
    join(directory, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
}
