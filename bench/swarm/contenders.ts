import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sandbox } from '../../test/support/daemons.ts'
import { eventually } from '../../test/support/wait.ts'
import type { Hosts, Node } from './hosts.ts'
import { torrent } from './torrent.ts'

/** A way to bring one file from the seed to all receivers. */
export interface Contender {
  readonly name: string
  /** Gets everything ready; `fetch` begins at one receiver and resolves when it has the whole file, checked. */
  start(hosts: Hosts, file: string, dir: string): Promise<Started>
}

export interface Started {
  fetch(receiver: Node, index: number): Promise<unknown>
  close(): Promise<void>
}

const run = promisify(execFile)
const LONG = { timeout: 900_000 }

/** One daemon on each host; a receiver asks its own daemon for the image. */
export const fleetd: Contender = {
  name: 'fleetd',
  async start({ seed, receivers }, file) {
    const box = await sandbox()
    try {
      const nodes = [seed, ...receivers]
      const daemons = await box.fleet(nodes.length, index => ({
        within: nodes[index]!.host.within,
        listen: [`${nodes[index]!.address}:7946`],
        port: 7946,
        flags: ['--profile', 'lan', '--log-level', 'info'],
      }))
      const image = ['image', 'build', file, '--name', 'bench', '--version', '1', '--kind', 'file']
      const { digest } = await daemons[0]!.json<{ digest: string }>('--timeout', '120s', ...image)
      return {
        async fetch(_, index) {
          const { code, stderr } = await daemons[index + 1]!.ctl('--timeout', '900s', 'image', 'fetch', digest)
          if (code !== 0) throw new Error(stderr)
        },
        close: () => box.close(),
      }
    } catch (error) {
      await box.close()
      throw error
    }
  },
}

/** BitTorrent with a tracker of its own on the seed, no DHT, and aria2's own settings otherwise. */
export const aria2: Contender = {
  name: 'aria2',
  async start({ seed, receivers }, file, dir) {
    const tracker = serve(seed, file)
    const children = [tracker]
    const announce = `http://${seed.address}:8080/announce`
    const meta = join(dir, 'bench.torrent')
    writeFileSync(meta, await torrent(file, announce))
    const options = (node: Node, folder: string): string[] => [
      ...['--dir', folder, '--listen-port', '6881', '--bt-external-ip', node.address, '--file-allocation=none'],
      ...['--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false', '--bt-tracker-interval=2'],
      ...['--summary-interval=0', '--console-log-level=error', '--no-conf', '--quiet'],
    ]
    const spawned = (node: Node, folder: string, ...more: string[]): ChildProcess => {
      mkdirSync(folder, { recursive: true })
      const [program, ...args] = [...node.host.within, 'aria2c', ...options(node, folder), ...more, meta]
      const child = spawn(program!, args, { stdio: ['ignore', 'ignore', 'inherit'] })
      children.push(child)
      return child
    }
    await reachable(receivers[0]!, `http://${seed.address}:8080/ready`)
    spawned(seed, join(file, '..'), '--seed-ratio=0.0', '--check-integrity=true')
    await eventually('the seed to announce itself', async () =>
      (await get(receivers[0]!, `http://${seed.address}:8080/peers`)).includes(seed.address),
    )
    return {
      // It seeds on after it has all, as our daemons do: complete is when the whole file has been checked, which it tells by a hook.
      async fetch(node, index) {
        const folder = join(dir, `aria2-${index}`)
        const done = join(dir, `aria2-${index}.done`)
        const hook = join(dir, 'done.sh')
        writeFileSync(hook, '#!/bin/sh\ntouch "$(dirname "$3").done"\n', { mode: 0o755 })
        spawned(node, folder, '--seed-ratio=0.0', '--on-bt-download-complete', hook)
        await eventually(`receiver ${index} to be complete`, () => statSync(done, { throwIfNoEntry: false }), {
          seconds: 900,
          everyMs: 50,
        })
      },
      close: () => end(children),
    }
  },
}

/** Everybody downloads from the seed. */
export const http: Contender = {
  name: 'http',
  async start({ seed, receivers }, file, dir) {
    const server = serve(seed, file)
    await reachable(receivers[0]!, `http://${seed.address}:8080/ready`)
    return {
      fetch: ({ host }, index) => {
        const [program, ...args] = [...host.within, 'curl', '-sSf', '-o', join(dir, `http-${index}`)]
        return run(program!, [...args, `http://${seed.address}:8080/file`], LONG)
      },
      close: () => end([server]),
    }
  },
}

/** The tracker and the HTTP server, in one program on the seed's host. */
function serve({ host }: Node, file: string): ChildProcess {
  const [program, ...args] = [
    ...host.within,
    process.execPath,
    '--import',
    'tsx',
    join(import.meta.dirname, 'serve.ts'),
  ]
  return spawn(program!, [...args, file], { stdio: ['ignore', 'ignore', 'inherit'] })
}

async function get({ host }: Node, url: string): Promise<string> {
  const [program, ...args] = [...host.within, 'curl', '-sSf', '--max-time', '2', url]
  return (await run(program!, args)).stdout
}

async function reachable(from: Node, url: string): Promise<void> {
  await eventually(`${url} to answer`, () => get(from, url).catch(() => undefined), { seconds: 20 })
}

async function end(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map(child => {
      if (child.exitCode !== null || child.signalCode !== null) return undefined
      const gone = new Promise(resolve => child.once('exit', resolve))
      child.kill('SIGKILL')
      return gone
    }),
  )
}
