import http from 'node:http'

export interface Tally {
  requests: number
  /** Requests that failed on the first host that was asked. */
  firstFailures: number
  /** Requests that failed on a second host as well: what a user would have seen. */
  failed: number
  /** The most hosts that did not answer well at one look. */
  maxDown: number
  /** Answers by body, e.g. `v1`. */
  readonly answers: Map<string, number>
}

/** One GET. Resolves with the body of a 200; rejects on anything else. */
function get(port: number, timeoutMs = 2_000): Promise<string> {
  return new Promise((done, fail) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: timeoutMs }, response => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        body += chunk
      })
      response.on('end', () =>
        response.statusCode === 200 ? done(body.trim()) : fail(new Error(`status ${response.statusCode}`)),
      )
      response.on('error', fail)
    })
    request.on('timeout', () => request.destroy(new Error('timeout')))
    request.on('error', fail)
  })
}

/** What each host answers; one that does not is asked once more, as a front end would. */
export const answersOf = (ports: readonly number[]): Promise<string[]> =>
  Promise.all(ports.map(port => get(port).catch(() => get(port))))

/**
 * A client as a front end would be: it asks the hosts in turn, and where one fails it tries one other, once. Beside it
 * runs a look at all hosts together, for the largest number down at once.
 */
export function startClient(ports: readonly number[]): {
  readonly tally: Tally
  reset(): Tally
  stop(): Promise<void>
} {
  const tally: Tally = { requests: 0, firstFailures: 0, failed: 0, maxDown: 0, answers: new Map() }
  let going = true

  const ask = async (turn: number): Promise<void> => {
    tally.requests += 1
    try {
      count(await get(ports[turn % ports.length]!))
    } catch {
      tally.firstFailures += 1
      // The other host is not the neighbour in turn: with two down at once those may well be the two.
      const down = await look(ports)
      const other =
        ports.find((_, index) => index !== turn % ports.length && !down.includes(index)) ??
        ports[(turn + 1) % ports.length]!
      try {
        count(await get(other))
      } catch {
        tally.failed += 1
      }
    }
  }
  const count = (body: string): void => void tally.answers.set(body, (tally.answers.get(body) ?? 0) + 1)

  const asking = (async () => {
    for (let turn = 0; going; turn++) {
      await ask(turn)
      await pause(5)
    }
  })()
  const looking = (async () => {
    while (going) {
      const down = await look(ports)
      tally.maxDown = Math.max(tally.maxDown, down.length)
      await pause(20)
    }
  })()

  return {
    tally,
    reset() {
      const before = { ...tally, answers: new Map(tally.answers) }
      Object.assign(tally, { requests: 0, firstFailures: 0, failed: 0, maxDown: 0 })
      tally.answers.clear()
      return before
    },
    async stop() {
      going = false
      await Promise.all([asking, looking])
    },
  }
}

/** Which hosts do not answer well right now, by index. */
async function look(ports: readonly number[]): Promise<number[]> {
  const answers = await Promise.allSettled(ports.map(port => get(port)))
  return answers.flatMap((answer, index) => (answer.status === 'rejected' ? [index] : []))
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))
