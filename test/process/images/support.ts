import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addressOf, allSeeAlive, hostsOn, on } from '../../netns/support.ts'
import { type CtlResult, type Daemon, type DaemonOptions, type Sandbox, sandbox } from '../../support/daemons.ts'
import { fetchFrom } from '../../support/http.ts'
import { createWorld, type Host } from '../../support/netns.ts'
import { eventually } from '../../support/wait.ts'

/** What a link carries each way where nothing else is said: slow enough that a test can act in the middle of a transfer. */
const RATE = '32mbit'

/** Hosts n0, n1, ... on one LAN behind slow links, with a daemon on each. */
export interface Site {
  readonly box: Sandbox
  readonly hosts: readonly Host[]
  /** Those that run now: who restarts one puts it here. */
  readonly daemons: Daemon[]
  /** Makes an image of kind `file` at a daemon; gives its digest. */
  build(at: number, name: string, content: Uint8Array): Promise<string>
  /** Kills a daemon and waits for its end. */
  kill(at: number): Promise<void>
  revive(at: number): Promise<Daemon>
  /** From now on the hosts of one list and those of the other do not hear each other. */
  part(some: readonly number[], others: readonly number[]): void
  /** Ends what `part` began. */
  heal(): void
  close(): Promise<void>
}

export async function createSite(
  count: number,
  options: (index: number) => Partial<DaemonOptions> = () => ({}),
): Promise<Site> {
  const world = createWorld()
  const box = await sandbox()
  const close = async (): Promise<void> => {
    await box.close()
    world.close()
  }
  try {
    const hosts = hostsOn(world, world.lan(), count)
    for (const host of hosts) host.rateBothWays('eth0', RATE)
    const daemons = await box.fleet(count, index => ({ ...on(hosts[index]!), ...options(index) }))
    await allSeeAlive(daemons)
    return {
      box,
      hosts,
      daemons,
      async build(at, name, content) {
        const file = join(box.dir, `${name}.bin`)
        writeFileSync(file, content)
        const what = ['--name', name, '--version', '1', '--kind', 'file']
        return (await daemons[at]!.json<{ digest: string }>('--timeout', '120s', 'image', 'build', file, ...what))
          .digest
      },
      async kill(at) {
        daemons[at]!.kill('SIGKILL')
        await daemons[at]!.exited()
      },
      async revive(at) {
        daemons[at] = await daemons[at]!.restart()
        return daemons[at]!
      },
      part(some, others) {
        for (const [mine, theirs] of [
          [some, others],
          [others, some],
        ] as const)
          for (const index of mine) hosts[index]!.deafTo(...theirs.map(addressOf))
      },
      heal() {
        for (const host of hosts) host.hearAll()
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

export const noise = (mib: number): Buffer => randomBytes(mib * 2 ** 20)

/** Fetches an image for as long as it takes; the outcome is what fleetctl says in the end. */
export const fetchImage = (daemon: Daemon, image: string): Promise<CtlResult> =>
  daemon.ctl('--timeout', '600s', '--format', 'json', 'image', 'fetch', image)

export interface Held {
  readonly digest: string
  readonly size: number
  readonly chunks: number
  readonly held: number
}

/** What a daemon has of an image; undefined while it does not know it. Asked without fleetctl, whose start takes longer than the answer. */
export async function heldOf(daemon: Daemon, image: string): Promise<Held | undefined> {
  const { images } = JSON.parse((await fetchFrom(daemon.socket, '/v1/images')).body) as { images: Held[] }
  return images.find(({ digest }) => digest === image)
}

/** Waits until a daemon has this part of an image's chunks. */
export function toHold(daemon: Daemon, image: string, part: number, seconds = 120): Promise<Held> {
  let seen: Held | undefined
  return eventually(
    `${daemon.name} to have ${part} of image ${image.slice(0, 12)}`,
    async () => {
      seen = await heldOf(daemon, image)
      return seen !== undefined && seen.held >= seen.chunks * part && seen
    },
    { seconds, everyMs: 20, seen: () => seen },
  )
}

/** Reads the whole image again, chunk by chunk: 0 when all of it is there and right. */
export const verify = async (daemon: Daemon, image: string): Promise<number> =>
  (await daemon.ctl('--timeout', '120s', 'image', 'verify', image)).code

/** What came from peers since the daemon started, in bytes. */
export async function receivedOf(daemon: Daemon, image: string): Promise<number> {
  const { peers } = await daemon.json<{ peers: { bytes: number }[] }>('--timeout', '60s', 'image', 'peers', image)
  return peers.reduce((sum, { bytes }) => sum + bytes, 0)
}
