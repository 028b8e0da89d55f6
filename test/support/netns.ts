import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'

/*
 * Hosts as network namespaces, joined by bridges that stand in namespaces of their own: no packet of a test leaves them, and the
 * host's own network is not touched. Names carry the pid of the test, so that what a killed one left is found and removed.
 */

const PREFIX = 'ftest'
const TOOLS = ['ip', 'nft', 'tcpdump']

/** Why this machine cannot make network namespaces; undefined where it can. */
export const cannot: string | undefined = (() => {
  if (process.getuid?.() !== 0) return 'they need root'
  const missing = TOOLS.filter(tool => spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0)
  if (missing.length > 0) return `${missing.join(', ')} not installed`
  const probe = `${PREFIX}${process.pid}-probe`
  const { status, stderr } = spawnSync('ip', ['netns', 'add', probe])
  spawnSync('ip', ['netns', 'del', probe])
  return status === 0 ? undefined : `ip netns add: ${String(stderr).trim()}`
})()

/** For `test.skipIf`: says once, in one line, why the tests of a file are not run. */
export function skipped(file: string): boolean {
  if (cannot !== undefined) console.log(`skipped: ${file} needs network namespaces: ${cannot}`)
  return cannot !== undefined
}

export interface Lan {
  /** The namespace that its bridge stands in. */
  readonly space: string
}

export interface Host {
  readonly name: string
  readonly space: string
  /** What a command is put behind to run on this host. */
  readonly within: readonly string[]
  /** Runs a command on this host and gives what it printed. Throws when it fails. */
  run(...command: readonly string[]): string
  /** Puts a cable from a LAN into a new interface with these addresses, as `10.0.0.1/24`. */
  plug(lan: Lan, iface: string, addresses: readonly string[]): void
  /** Takes an interface away, as when its card is pulled. */
  unplug(iface: string): void
  /** Cuts the cable of an interface, or mends it: the interface stays, without a carrier. */
  cable(iface: string, state: 'up' | 'down'): void
  /** From now on nothing comes in from these addresses, without an answer. More calls add to it. */
  deafTo(...addresses: readonly string[]): void
  /** From now on what comes in and matches, in the words of nft, gets no answer. */
  drop(match: string): void
  /** From now on so many of a hundred packets that come in are lost. */
  lose(percent: number): void
  /** Bits per second that leave an interface, as `2mbit`. */
  rate(iface: string, rate: string): void
  /** Bits per second that leave an interface, and that come in: a host's whole link. */
  rateBothWays(iface: string, rate: string): void
  /** Ends what `deafTo`, `drop` and `lose` began. */
  hearAll(): void
}

export interface World {
  lan(): Lan
  host(name: string): Host
  /** Removes everything, and ends whatever still runs inside. */
  close(): void
}

let worlds = 0

export function createWorld(): World {
  removeLeftovers()
  const id = `${PREFIX}${process.pid}-${worlds++}`
  const spaces: string[] = []
  const cables = new Map<string, { lan: Lan; port: string }>()
  let ports = 0

  const space = (name: string): string => {
    const full = `${id}-${name}`
    spaces.push(full)
    ip('netns', 'add', full)
    ip('-n', full, 'link', 'set', 'lo', 'up')
    return full
  }
  const close = (): void => {
    process.off('exit', close)
    for (const name of spaces.splice(0)) remove(name)
  }
  process.on('exit', close)

  return {
    lan() {
      const lan = { space: space(`lan${spaces.length}`) }
      ip('-n', lan.space, 'link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0', 'mcast_snooping', '0')
      ip('-n', lan.space, 'link', 'set', 'br0', 'up')
      return lan
    },
    host(name) {
      const own = space(name)
      const within = ['ip', 'netns', 'exec', own]
      const run = (...command: readonly string[]): string =>
        execFileSync('ip', ['netns', 'exec', own, ...command]).toString()
      const table = (rule: string): void => {
        run('nft', 'add table inet faults')
        run('nft', 'add chain inet faults input { type filter hook input priority 0; }')
        run('nft', `add rule inet faults input ${rule}`)
      }
      return {
        name,
        space: own,
        within,
        run,
        plug(lan, iface, addresses) {
          const port = `p${ports++}`
          ip('-n', lan.space, 'link', 'add', port, 'type', 'veth', 'peer', 'name', iface, 'netns', own)
          ip('-n', lan.space, 'link', 'set', port, 'master', 'br0', 'up')
          for (const address of addresses)
            ip('-n', own, 'addr', 'add', address, 'dev', iface, ...(address.includes(':') ? ['nodad'] : []))
          ip('-n', own, 'link', 'set', iface, 'up')
          cables.set(`${name} ${iface}`, { lan, port })
        },
        unplug: iface => ip('-n', own, 'link', 'del', iface),
        cable(iface, state) {
          const { lan, port } = cables.get(`${name} ${iface}`)!
          ip('-n', lan.space, 'link', 'set', port, state)
        },
        deafTo(...addresses) {
          for (const address of addresses) table(`${address.includes(':') ? 'ip6' : 'ip'} saddr ${address} drop`)
        },
        drop: match => table(`${match} drop`),
        lose: percent => table(`iifname != "lo" numgen random mod 100 < ${percent} drop`),
        rate: (iface, rate) => shape(own, iface, rate),
        rateBothWays(iface, rate) {
          const { lan, port } = cables.get(`${name} ${iface}`)!
          shape(own, iface, rate)
          shape(lan.space, port, rate)
        },
        hearAll: () => void run('nft', 'add table inet faults; delete table inet faults'),
      }
    },
    close,
  }
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

/** A token bucket on what leaves this device of this namespace: tc-tbf(8). */
function shape(space: string, device: string, rate: string): void {
  const bucket = ['tbf', 'rate', rate, 'burst', '32kb', 'latency', '400ms']
  execFileSync('ip', ['netns', 'exec', space, 'tc', 'qdisc', 'replace', 'dev', device, 'root', ...bucket])
}

/** Deletes a namespace after ending its processes, by their ids. */
function remove(name: string): void {
  const { stdout } = spawnSync('ip', ['netns', 'pids', name])
  for (const pid of String(stdout).split('\n').filter(Boolean).map(Number)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended meanwhile.
    }
  }
  spawnSync('ip', ['netns', 'del', name])
}

/** What tests that were killed before they could clean up have left behind. */
function removeLeftovers(): void {
  const names = spawnSync('ip', ['netns', 'list']).stdout.toString().split('\n')
  for (const name of names.map(line => line.split(' ')[0] ?? '')) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1]
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) remove(name)
  }
}
