import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { type Daemon, type Sandbox, sandbox } from '../../test/support/daemons.ts'
import { eventually } from '../../test/support/wait.ts'
import type { Hosts, Node } from '../swarm/hosts.ts'
import type { Pair } from './pairs.ts'

/** A way to bring the next version to a host that has the one before. */
export interface Contender {
  readonly name: string
  /** Why it cannot be measured here. */
  readonly missing: string | undefined
  /** Gets everything ready; what it gives brings the next version over. */
  prepare(pair: Pair, dir: string): Promise<() => Promise<unknown>>
  close(): Promise<void>
}

const run = promisify(execFile)
const missing = (...programs: string[]): string | undefined =>
  programs.every(program => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0)
    ? undefined
    : `the Debian package ${programs[0]} is not installed`

/** One daemon on each host; the one that has the version before asks for the next. */
export async function fleetd({ seed, receivers }: Hosts): Promise<Contender> {
  const box: Sandbox = await sandbox()
  const nodes = [seed, receivers[0]!]
  const [sender, receiver] = (await box.fleet(2, index => ({
    within: nodes[index]!.host.within,
    listen: [`${nodes[index]!.address}:7946`],
    port: 7946,
    flags: ['--profile', 'lan', '--log-level', 'info'],
  }))) as [Daemon, Daemon]
  let made = 0
  return {
    name: 'fleetd',
    missing: undefined,
    async prepare({ kind, before, after }) {
      const name = `image${made++}`
      const build = (daemon: Daemon, path: string, version: string) =>
        daemon.json<{ digest: string }>(
          ...['--timeout', '120s', 'image', 'build', path, '--kind', kind, '--name', name, '--version', version],
        )
      await build(receiver, before, '1')
      const { digest } = await build(sender, after, '2')
      return async () => {
        const { code, stderr } = await receiver.ctl('--timeout', '300s', 'image', 'fetch', digest)
        if (code !== 0) throw new Error(stderr)
      }
    },
    close: () => box.close(),
  }
}

/** Its store over HTTP, with the version before as seed, and its own settings otherwise. */
export function casync({ seed, receivers }: Hosts): Contender {
  let server: ChildProcess | undefined
  return {
    name: 'casync',
    missing: missing('casync'),
    async prepare({ kind, before, after }, dir) {
      const folder = join(dir, 'casync')
      mkdirSync(folder)
      const index = `next.${kind === 'tree' ? 'caidx' : 'caibx'}`
      execFileSync('casync', ['make', `--store=${folder}/default.castr`, join(folder, index), after])
      server = await serve(seed, receivers[0]!, folder, index)
      const url = `http://${seed.address}:8080`
      const args = [`--store=${url}/default.castr`, `--seed=${before}`, `${url}/${index}`, join(dir, 'casync-out')]
      return () => within(receivers[0]!, 'casync', 'extract', ...args)
    },
    close: () => end(server),
  }
}

/** It knows files alone: of a tree, its tar. */
export function zsync({ seed, receivers }: Hosts): Contender {
  let server: ChildProcess | undefined
  return {
    name: 'zsync',
    missing: missing('zsync', 'zsyncmake'),
    async prepare({ kind, before, after }, dir) {
      const folder = join(dir, 'zsync')
      mkdirSync(folder)
      const asFile = (path: string): string => {
        if (kind === 'file') return path
        const tar = join(folder, `${basename(path)}.tar`)
        execFileSync('tar', ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '-cf', tar, '-C', path, '.'])
        return tar
      }
      const [old, next] = [asFile(before), asFile(after)]
      execFileSync('ln', [next, join(folder, 'next')])
      const url = `http://${seed.address}:8080`
      execFileSync('zsyncmake', ['-u', `${url}/next`, '-o', join(folder, 'next.zsync'), join(folder, 'next')], {
        stdio: 'ignore',
      })
      server = await serve(seed, receivers[0]!, folder, 'next.zsync')
      return () => within(receivers[0]!, 'zsync', '-q', '-i', old, '-o', join(dir, 'zsync-out'), `${url}/next.zsync`)
    },
    close: () => end(server),
  }
}

const within = ({ host }: Node, ...command: string[]) => {
  const [program, ...args] = [...host.within, ...command]
  return run(program!, args, { timeout: 300_000, maxBuffer: 64 * 2 ** 20 })
}

async function serve(on: Node, reachedFrom: Node, folder: string, path: string): Promise<ChildProcess> {
  const program = join(import.meta.dirname, 'serve.ts')
  const [command, ...args] = [...on.host.within, process.execPath, '--import', 'tsx', program, folder]
  const server = spawn(command!, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  const url = `http://${on.address}:8080/${path}`
  await eventually(`${url} to answer`, () =>
    within(reachedFrom, 'curl', '-sSfI', '--max-time', '2', url).catch(() => undefined),
  )
  return server
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}
