import { execFileSync } from 'node:child_process'
import { createWorld, type Host } from '../../test/support/netns.ts'

/** Where the agents live: hosts on one LAN, each a network namespace, and one more from which they are asked. */
export interface Place {
  /** The namespace of the bridge, through which every packet between hosts goes. */
  readonly lan: string
  readonly asker: string
  /** One per agent, in the order of their addresses. */
  readonly hosts: readonly string[]
}

const ASKER = '10.77.255.254'
export const addressOf = (index: number): string => `10.77.0.${index + 1}`

export function createPlace(count: number): { place: Place; close(): void } {
  const world = createWorld()
  const lan = world.lan()
  const plugged = (name: string, address: string): Seat => {
    const host = world.host(name)
    host.plug(lan, 'eth0', [`${address}/16`])
    return { host, address }
  }
  const hosts = Array.from({ length: count }, (_, index) => plugged(`h${index}`, addressOf(index)))
  const asker = plugged('asker', ASKER)
  acquaint([...hosts, asker])
  return {
    place: { lan: lan.space, asker: asker.host.space, hosts: hosts.map(({ host }) => host.space) },
    close: () => world.close(),
  }
}

interface Seat {
  readonly host: Host
  readonly address: string
}

/**
 * Tells every host the hardware address of every other. The kernel's table of neighbours is one for all namespaces and holds 1024 that
 * were found by asking (arp(7), gc_thresh3): fifty hosts that all speak with each other are 2550, and lose packets to one another for seconds at a time.
 */
function acquaint(seats: readonly Seat[]): void {
  const neighbours = seats.map(({ host, address }) => {
    const [{ address: hardware }] = JSON.parse(host.run('ip', '-j', 'link', 'show', 'eth0')) as [{ address: string }]
    return { address, entry: `neigh replace ${address} lladdr ${hardware} dev eth0 nud permanent\n` }
  })
  for (const { host, address } of seats) {
    const others = neighbours.filter(neighbour => neighbour.address !== address)
    const input = others.map(({ entry }) => entry).join('')
    execFileSync('ip', ['-n', host.space, '-batch', '-'], { input, stdio: ['pipe', 'ignore', 'inherit'] })
  }
}

/**
 * Drops packets on the bridge, where no sender is told of it. What the asker says and hears is spared. One set of rules at a time.
 * `rules` are in the words of nft.
 */
export function dropOnTheWay({ lan }: Place, ...rules: readonly string[]): void {
  undisturbed({ lan })
  const spared = [`ip saddr ${ASKER} accept`, `ip daddr ${ASKER} accept`]
  const chain = ['type filter hook forward priority 0', ...spared, ...rules].join('; ')
  nft(lan, `table bridge faults { chain forward { ${chain}; }; }`)
}

export function undisturbed({ lan }: Pick<Place, 'lan'>): void {
  nft(lan, 'flush ruleset')
}

function nft(space: string, text: string): void {
  execFileSync('ip', ['netns', 'exec', space, 'nft', '-f', '-'], {
    input: `${text}\n`,
    stdio: ['pipe', 'ignore', 'inherit'],
  })
}
