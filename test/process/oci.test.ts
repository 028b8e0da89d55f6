import { execFile, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Daemon, freePort, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// The registry as container tools see it: what is pushed to one node is pulled from others, after the first was killed.

const isInstalled = (program: string): boolean => spawnSync(program, ['--version']).status === 0
const noSkopeo = !isInstalled('skopeo')
const noPodman = !isInstalled('podman')
for (const [missing, program] of [
  [noSkopeo, 'skopeo'],
  [noPodman, 'podman'],
] as const)
  if (missing) console.log(`skipped: the parts of oci.test.ts that use ${program}: it is not installed`)

let box: Sandbox
let daemons: Daemon[]
let registries: string[]
let indexDigest: string

const run = (program: string, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
  new Promise(done => {
    execFile(program, args, { timeout: 120_000, cwd: box.dir }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
    })
  })
async function succeeds(program: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, ...args)
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}
const podman = (...args: string[]) =>
  run(
    'podman',
    ...['--root', join(box.dir, 'podman'), '--runroot', join(box.dir, 'podman-run')],
    ...['--storage-driver', 'vfs', '--cgroup-manager', 'cgroupfs', ...args],
  )
/** Where the image `team/shop:v1` is, at the registry of a node. */
const at = (index: number, repository = 'team/shop'): string => `docker://${registries[index]}/${repository}`

beforeAll(async () => {
  box = await sandbox()
  registries = await Promise.all([0, 1, 2].map(async () => `127.0.0.1:${await freePort()}`))
  daemons = await box.fleet(3, index => ({ flags: ['--oci', registries[index]!] }))
  indexDigest = await writeLayout(join(box.dir, 'layout'))
}, 120_000)
afterAll(() => box?.close())

describe.skipIf(noSkopeo)('skopeo', () => {
  test('what it copies in at one node comes out at another with the same digests, all platforms of it', async () => {
    await succeeds(
      'skopeo',
      'copy',
      '--all',
      '--preserve-digests',
      '--dest-tls-verify=false',
      'oci:layout:v1',
      `${at(0)}:v1`,
    )
    await eventually('the third node to know the tag', async () => {
      const { status } = await fetch(`http://${registries[2]}/v2/team/shop/manifests/v1`, { method: 'HEAD' })
      return status === 200
    })
    for (const index of [1, 2]) {
      await succeeds('skopeo', 'copy', '--all', '--src-tls-verify=false', `${at(index)}:v1`, `oci:out${index}:v1`)
      const [root] = JSON.parse(await readFile(join(box.dir, `out${index}/index.json`), 'utf8')).manifests
      expect(root.digest).toBe(indexDigest)
      const { stdout } = await run('diff', '-r', 'layout/blobs', `out${index}/blobs`)
      expect(stdout).toBe('')
    }
    const tags = JSON.parse(await succeeds('skopeo', 'list-tags', '--tls-verify=false', at(1)))
    expect(tags.Tags).toEqual(['v1'])
  })

  test('what is not there it says so of', async () => {
    const { code, stderr } = await run('skopeo', 'inspect', '--tls-verify=false', `${at(1)}:v9`)
    expect(code).not.toBe(0)
    expect(stderr).toContain('manifest unknown')
  })

  test('an image is one of the fleet, and can be verified as any other', async () => {
    const { images } = await daemons[0]!.json<{ images: { name: string; version: string; kind: string }[] }>(
      'image',
      'list',
    )
    expect(images).toContainEqual(expect.objectContaining({ name: 'team/shop', version: 'v1', kind: 'oci' }))
    const verified = await daemons[0]!.ctl('image', 'verify', 'team/shop:v1')
    expect(verified.code).toBe(0)
  })

  test('a mirror of docker.io has what was pushed below that name', async () => {
    await succeeds(
      'skopeo',
      'copy',
      '--dest-tls-verify=false',
      'oci:layout:v1',
      `${at(0, 'docker.io/library/tiny')}:latest`,
    )
    const digest = await eventually('another node to have it', async () => {
      const answer = await fetch(`http://${registries[1]}/v2/library/tiny/manifests/latest?ns=docker.io`)
      return answer.status === 200 && answer.headers.get('docker-content-digest')
    })
    expect(digest).toMatch(/^sha256:/)
    const without = await fetch(`http://${registries[1]}/v2/library/tiny/manifests/latest`)
    expect(without.status).toBe(404)
  })

  test('the node that took the push is killed, and both others still have all of it', async () => {
    for (const daemon of daemons.slice(1))
      await eventually(`${daemon.name} to hold all of it`, async () => {
        const { images } = await daemon.json<{
          images: { name: string; version: string; held: number; chunks: number }[]
        }>('image', 'list')
        return images.some(image => image.name === 'team/shop' && image.version === 'v1' && image.held === image.chunks)
      })
    daemons[0]!.kill('SIGKILL')
    await daemons[0]!.exited()
    await succeeds('skopeo', 'copy', '--all', '--src-tls-verify=false', `${at(2)}:v1`, 'oci:after:v1')
    expect((await run('diff', '-r', 'layout/blobs', 'after/blobs')).stdout).toBe('')
  })

  test('a node that was killed in the middle of an upload forgets that, and has all that it had acknowledged', async () => {
    const blob = randomBytes(500_000)
    const digest = `sha256:${createHash('sha256').update(blob).digest('hex')}`
    const base = `http://${registries[1]}/v2/crash/blobs`
    const post = await fetch(`${base}/uploads/?digest=${digest}`, { method: 'POST', body: blob })
    expect(post.status).toBe(201)
    const begun = (await fetch(`${base}/uploads/`, { method: 'POST' })).headers.get('location')!
    await fetch(`http://${registries[1]}${begun}`, { method: 'PATCH', body: blob.subarray(0, 1_000) })
    daemons[1]!.kill('SIGKILL')
    await daemons[1]!.exited()
    daemons[1] = await daemons[1]!.restart()
    expect(Buffer.from(await (await fetch(`${base}/${digest}`)).arrayBuffer())).toEqual(blob)
    expect((await fetch(`http://${registries[1]}${begun}`)).status).toBe(404)
    const tag = await fetch(`http://${registries[1]}/v2/team/shop/manifests/v1`)
    expect(tag.headers.get('docker-content-digest')).toBe(indexDigest)
  })
})

describe.skipIf(noSkopeo || noPodman)('podman', () => {
  const image = (): string => `${registries[2]}/team/shop:v1`

  test('pulls an image with the digest that it was pushed with', async () => {
    expect(await podman('pull', '--quiet', '--tls-verify=false', image())).toMatchObject({ code: 0 })
    const { stdout } = await podman('image', 'inspect', '--format', '{{json .RepoDigests}}', image())
    expect(stdout).toContain(indexDigest)
  })

  test('runs what it has pulled, where it can run anything', async context => {
    const rootfs = join(box.dir, 'rootfs')
    await mkdir(rootfs)
    await writeFile(join(rootfs, 'hello'), HELLO)
    await chmod(join(rootfs, 'hello'), 0o755)
    const able = await podman('run', '--rm', '--network', 'none', '--rootfs', rootfs, '/hello')
    if (able.code !== 0) {
      console.log(`skipped: the part of oci.test.ts that runs a container: ${able.stderr.trim().split('\n').at(-1)}`)
      return context.skip()
    }
    const ran = await podman('run', '--rm', '--network', 'none', image())
    expect(ran).toMatchObject({ code: 0, stdout: 'hello from the fleet\n' })
  })
})

/** A program for Linux on x86-64 that writes a line and ends: an ELF header, one segment, and eight instructions. */
const HELLO = Buffer.from(
  '7f454c4602010100000000000000000002003e0001000000780040000000000040000000000000000000000000000000000000004000380001' +
    '000000000000000100000005000000000000000000000000004000000000000000400000000000b100000000000000b1000000000000000010' +
    '000000000000b801000000bf0100000048be9c00400000000000ba150000000f05b83c00000031ff0f05' +
    Buffer.from('hello from the fleet\n').toString('hex'),
  'hex',
)

/** An OCI image layout of two platforms, with compressed layers, as `v1`. Gives the digest of its index. */
async function writeLayout(directory: string): Promise<string> {
  const blobs = join(directory, 'blobs/sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (mediaType: string, bytes: Uint8Array) => {
    const digest = createHash('sha256').update(bytes).digest('hex')
    await writeFile(join(blobs, digest), bytes)
    return { mediaType, digest: `sha256:${digest}`, size: bytes.byteLength }
  }
  const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))
  const manifests = []
  for (const architecture of ['amd64', 'arm64']) {
    const tar = pack()
    tar.entry({ name: 'hello', mode: 0o755 }, HELLO)
    tar.entry({ name: 'data' }, randomBytes(400_000))
    tar.finalize()
    const pieces: Uint8Array[] = []
    for await (const piece of tar) pieces.push(piece as Uint8Array)
    const layer = Buffer.concat(pieces)
    const config = {
      architecture,
      os: 'linux',
      config: { Cmd: ['/hello'] },
      rootfs: { type: 'layers', diff_ids: [`sha256:${createHash('sha256').update(layer).digest('hex')}`] },
    }
    const manifest = await put(
      'application/vnd.oci.image.manifest.v1+json',
      json({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: await put('application/vnd.oci.image.config.v1+json', json(config)),
        layers: [await put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(layer))],
      }),
    )
    manifests.push({ ...manifest, platform: { architecture, os: 'linux' } })
  }
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const index = await put(mediaType, json({ schemaVersion: 2, mediaType, manifests }))
  const annotations = { 'org.opencontainers.image.ref.name': 'v1' }
  await writeFile(join(directory, 'index.json'), json({ schemaVersion: 2, manifests: [{ ...index, annotations }] }))
  await writeFile(join(directory, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }))
  return index.digest
}
