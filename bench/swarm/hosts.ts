import { createWorld, type Host } from '../../test/support/netns.ts'

/** What a link carries each way. */
export const RATE = '32mbit'
/** The same in bytes a second. */
export const BYTES_PER_SECOND = 32e6 / 8

export interface Node {
  readonly host: Host
  readonly address: string
}

export interface Hosts {
  readonly seed: Node
  readonly receivers: readonly Node[]
  close(): void
}

/** A seed and its receivers on one LAN, each behind a link of `RATE` each way. */
export function createHosts(receivers: number): Hosts {
  const world = createWorld()
  try {
    const lan = world.lan()
    const nodes = Array.from({ length: receivers + 1 }, (_, index): Node => {
      const host = world.host(`n${index}`)
      const address = `10.9.0.${index + 1}`
      host.plug(lan, 'eth0', [`${address}/24`])
      host.rateBothWays('eth0', RATE)
      return { host, address }
    })
    return { seed: nodes[0]!, receivers: nodes.slice(1), close: world.close }
  } catch (error) {
    world.close()
    throw error
  }
}

/** Bytes that have left a host or come in since it was made, with all headers. */
export function passedBytes({ host }: Node): number {
  const [sent, received] = ['tx_bytes', 'rx_bytes'].map(name =>
    Number(host.run('cat', `/sys/class/net/eth0/statistics/${name}`)),
  )
  return sent! + received!
}

/** Bytes that have left a host since it was made, with all headers. */
export function sentBytes({ host }: Node): number {
  return Number(host.run('cat', '/sys/class/net/eth0/statistics/tx_bytes'))
}
