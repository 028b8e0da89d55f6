import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { makeDeb, ownArchitecture } from '../../packaging/deb.ts'
import { cannot, installed } from '../support/debian.ts'

// The container file, built on the Debian that the package's test boots: `npm run test:package`.

const why = cannot ?? (spawnSync('podman', ['--version']).status === 0 ? undefined : 'podman not installed')
if (why !== undefined) console.log(`skipped: test/packaging/container.long.ts builds a container: ${why}`)

const dir = mkdtempSync(join(tmpdir(), 'fleetd-container-'))
const podman = (...args: string[]): string =>
  execFileSync(
    'podman',
    ['--root', join(dir, 'root'), '--runroot', join(dir, 'run'), '--storage-driver', 'vfs', ...args],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
afterAll(() => {
  // Its layers are mounts of podman's until it is told to let them go.
  if (why === undefined) podman('rmi', '--all', '--force')
  rmSync(dir, { recursive: true, force: true })
})

test.skipIf(why !== undefined)(
  'the container file builds, and what it builds runs as user fleetd',
  async () => {
    const context = join(dir, 'context')
    mkdirSync(join(context, 'packaging'), { recursive: true })
    cpSync(resolve(import.meta.dirname, '../../packaging/Containerfile'), join(context, 'packaging/Containerfile'))
    await makeDeb({ version: '0.9.0', architecture: ownArchitecture(), out: join(context, 'packages') })
    podman('import', '--quiet', installed(), 'localhost/debian')
    // In a chroot and on this network: a container of its own needs more than a test may count on.
    const build = ['build', '--isolation', 'chroot', '--network', 'host', '--build-arg', 'BASE=localhost/debian']
    podman(...build, '-f', join(context, 'packaging/Containerfile'), '-t', 'localhost/fleetd', context)

    const [image] = JSON.parse(podman('inspect', 'localhost/fleetd')) as { Config: Record<string, unknown> }[]
    expect(image!.Config).toMatchObject({ User: 'fleetd', StopSignal: 'SIGTERM', Volumes: { '/var/lib/fleetd': {} } })
    const flags = '--init --operator-key /tmp/operator.key --name boxed --web off --no-mdns --listen 127.0.0.1:0'
    const file = join(dir, 'Containerfile')
    writeFileSync(
      file,
      [
        'FROM localhost/fleetd',
        `RUN ${(image!.Config.Entrypoint as string[]).join(' ')} ${flags} & \\`,
        '  until fleetctl members; do sleep 0.2; done; id -un; kill $!; wait $!',
      ].join('\n'),
    )
    const said = podman('build', '--isolation', 'chroot', '--network', 'host', '-f', file, dir)
    expect(said).toMatch(/^boxed +alive/m)
    expect(said).toMatch(/^fleetd$/m)
  },
  300_000,
)
