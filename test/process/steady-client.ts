import { Agent, get } from 'node:http'

/** What became of the requests of a client. */
export interface Served {
  /** How many were made. */
  readonly requests: number
  /** How many of them a second. */
  readonly rate: number
  /** Those that the first host failed and another answered. */
  readonly retried: number
  /** Those that both failed: what a customer would have seen. */
  readonly failed: readonly string[]
}

/**
 * A client that makes so many requests a second whether or not the ones before were answered, of the hosts in turn. One that fails is made once more, of
 * the next host. It knows nothing of the fleet: which hosts are down it learns from its failures alone.
 */
export function steadyClient(
  ports: readonly number[],
  { aSecond }: { aSecond: number },
): { end(): Promise<Served>; made(): number } {
  const agent = new Agent({ keepAlive: false })
  const began = performance.now()
  const failed: string[] = []
  const open = new Set<Promise<void>>()
  let requests = 0
  let retried = 0

  const ask = (port: number): Promise<void> =>
    new Promise((done, fail) => {
      const asked = get({ host: '127.0.0.1', port, agent, timeout: 2_000 }, answer => {
        answer.resume()
        answer.once('error', fail)
        answer.once('end', () => (answer.statusCode === 200 ? done() : fail(new Error(`status ${answer.statusCode}`))))
      })
      asked.once('timeout', () => asked.destroy(new Error('no answer within 2 s')))
      asked.once('error', fail)
    })
  const one = async (turn: number): Promise<void> => {
    const at = (offset: number): number => ports[(turn + offset) % ports.length]!
    try {
      return await ask(at(0))
    } catch {
      retried += 1
    }
    await ask(at(1)).catch(error => failed.push(`request ${turn} of ports ${at(0)} and ${at(1)}: ${error.message}`))
  }
  // A timer is late now and then: what is owed by the clock is made, so that the rate is what it says.
  const timer = setInterval(() => {
    const owed = ((performance.now() - began) / 1000) * aSecond
    for (; requests < owed; requests++) {
      const mine = one(requests).finally(() => open.delete(mine))
      open.add(mine)
    }
  }, 5)

  return {
    made: () => requests,
    async end() {
      clearInterval(timer)
      const rate = requests / ((performance.now() - began) / 1000)
      await Promise.all(open)
      agent.destroy()
      return { requests, rate, retried, failed }
    },
  }
}
