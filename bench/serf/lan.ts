import { execFileSync } from 'node:child_process'
import { createWorld } from '../../test/support/netns.ts'

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
  const hosts = Array.from({ length: count }, (_, index) => {
    const host = world.host(`h${index}`)
    host.plug(lan, 'eth0', [`${addressOf(index)}/16`])
    return host.space
  })
  const asker = world.host('asker')
  asker.plug(lan, 'eth0', [`${ASKER}/16`])
  return { place: { lan: lan.space, asker: asker.space, hosts }, close: () => world.close() }
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
