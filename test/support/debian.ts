import { execFileSync, spawn, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { eventually } from './wait.ts'

/*
 * A Debian that is installed from this machine's mirror and booted with its own systemd in namespaces of its own: what a package does to a
 * machine is seen on one, and the tests' machine is not touched. Debian 13, because fleetd needs its Node.
 */

const SUITE = 'trixie'
const TOOLS = ['debootstrap', 'dpkg-deb', 'unshare', 'nsenter', 'ip']

/** Why this machine cannot boot one; undefined where it can. */
export const cannot: string | undefined = (() => {
  if (process.getuid?.() !== 0) return 'that needs root'
  const missing = TOOLS.filter(tool => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
  if (missing.length > 0) return `${missing.join(', ')} not installed`
  return controlGroups() === undefined ? 'there is no cgroup2 file system' : undefined
})()

export interface Debian {
  /** Its files, seen from outside. */
  readonly root: string
  /** Runs a command inside and gives what it printed. Throws when it fails, with both outputs. */
  run(command: string, ...args: readonly string[]): string
  /** The same, with the exit code in place of throwing. */
  attempt(command: string, ...args: readonly string[]): { readonly code: number; readonly output: string }
  /** Ends everything inside and removes it. */
  close(): Promise<void>
}

/** Installs a fresh Debian and boots it. The first on a machine takes some minutes for the downloads; later ones are copies. */
export async function bootDebian(): Promise<Debian> {
  const base = installed()
  const root = mkdtempSync(join(tmpdir(), 'fleetd-debian-'))
  execFileSync('tar', ['-xf', base, '-C', root])
  const group = join(controlGroups()!, `fleetd-test-${process.pid}`)
  const machine = spawn('sh', [join(import.meta.dirname, 'boot.sh'), root, group], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [machine.stdout, machine.stderr]) stream.on('data', chunk => (said += String(chunk)))
  const ended = new Promise<void>(done => machine.once('exit', () => done()))
  const end = (): void => void machine.kill('SIGKILL')
  process.once('exit', end)

  const first = (): string =>
    readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8').trim().split(' ')[0]!
  const attempt = (command: string, ...args: readonly string[]): { code: number; output: string } => {
    const inside = ['--target', first(), '--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd=/']
    const env = [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'HOME=/root',
      'LC_ALL=C.UTF-8',
      'DEBIAN_FRONTEND=noninteractive',
    ]
    const { status, stdout, stderr } = spawnSync('nsenter', [...inside, ...env, command, ...args], { encoding: 'utf8' })
    return { code: status ?? 1, output: stdout + stderr }
  }
  const debian: Debian = {
    root,
    attempt,
    run(command, ...args) {
      const { code, output } = attempt(command, ...args)
      if (code !== 0) throw new Error(`${command} ${args.join(' ')} exited with ${code}: ${output}`)
      return output
    },
    async close() {
      end()
      await ended
      process.off('exit', end)
      await eventually('its processes to be gone', () => removeGroup(group))
      rmSync(root, { recursive: true, force: true })
    },
  }
  // Degraded is as good: a container loads no kernel modules, and Debian's unit for that says so.
  await eventually(
    'Debian to have booted',
    () => /^(running|degraded)/.test(attempt('systemctl', 'is-system-running').output),
    {
      seconds: 120,
      seen: () => said,
    },
  )
  return debian
}

/** A tar file of a minimal Debian with systemd and Node, made once on a machine. */
export function installed(): string {
  const cache = resolve(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'fleetd-test')
  const base = join(cache, `${SUITE}.tar`)
  if (existsSync(base)) return base
  mkdirSync(cache, { recursive: true })
  const tree = mkdtempSync(join(cache, 'making-'))
  try {
    const packages = 'systemd,dbus,nodejs,adduser,procps'
    execFileSync('debootstrap', ['--variant=minbase', `--include=${packages}`, SUITE, tree, mirror()], {
      stdio: 'ignore',
    })
    chmodSync(tree, 0o755)
    execFileSync('tar', ['-cf', `${tree}.tar`, '-C', tree, '.'])
    renameSync(`${tree}.tar`, base)
    return base
  } finally {
    rmSync(tree, { recursive: true, force: true })
  }
}

/** Where this machine gets Debian's packages from. */
function mirror(): string {
  const said = spawnSync('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], {
    encoding: 'utf8',
  })
  const found = said.stdout?.split('\n').find(uri => /\/debian\/?$/.test(uri))
  return found ?? 'http://deb.debian.org/debian'
}

/** Where control groups of version 2 are, alone or beside version 1. */
function controlGroups(): string | undefined {
  return ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'].find(path => existsSync(join(path, 'cgroup.procs')))
}

/** Removes a control group and all below. False while processes are in it. */
function removeGroup(group: string): boolean {
  for (const entry of readdirSync(group, { withFileTypes: true }))
    if (entry.isDirectory() && !removeGroup(join(group, entry.name))) return false
  try {
    rmdirSync(group)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EBUSY') return false
    throw error
  }
}
