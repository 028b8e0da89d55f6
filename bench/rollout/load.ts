import { get } from 'node:http'

/** Requests a second: some hundred for each host in the course of a rollout, and little beside what two cores have to do. */
const RATE = 20
const TIMEOUT = 2_000

export interface Load {
  stop(): Promise<{ asked: number; failed: number; failedTwice: number }>
}

/** A client that goes round all hosts and knows nothing of them: what one refuses it asks of another, once. */
export function startLoad(ports: readonly number[]): Load {
  const count = { asked: 0, failed: 0, failedTwice: 0 }
  const open = new Set<Promise<void>>()
  const ask = async (at: number): Promise<void> => {
    count.asked += 1
    if (await answers(ports[at % ports.length]!)) return
    count.failed += 1
    // Half way round: roster order has nothing to do with it on either side.
    if (!(await answers(ports[(at + (ports.length >> 1)) % ports.length]!))) count.failedTwice += 1
  }
  let at = 0
  const timer = setInterval(() => {
    const asked = ask(at++).finally(() => open.delete(asked))
    open.add(asked)
  }, 1_000 / RATE)
  return {
    async stop() {
      clearInterval(timer)
      await Promise.all(open)
      return count
    },
  }
}

const answers = (port: number): Promise<boolean> =>
  new Promise(done => {
    const request = get({ host: '127.0.0.1', port, agent: false, timeout: TIMEOUT }, response => {
      response.resume()
      response.once('end', () => done(response.statusCode === 200))
      response.once('error', () => done(false))
    })
    request.once('timeout', () => request.destroy(new Error('it does not answer')))
    request.once('error', () => done(false))
  })
