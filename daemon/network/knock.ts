import { connect } from 'node:net'
import type { Endpoint } from './address.ts'

/**
 * So many connections are begun to each address, evenly over the timeout. A kernel repeats a lost SYN after a second at the
 * earliest (RFC 6298, section 2.1), which is longer than anybody waits here; with a fifth of all packets lost, four in a row get no answer one time in sixty.
 */
const TRIES = 4

/**
 * Begins connections to the endpoints and ends each as soon as it is answered, with no byte sent. Resolves `open` with the first that is
 * taken, `refused` when every endpoint has refused one, and `none` after `timeout` milliseconds.
 */
export function knockAt(endpoints: readonly Endpoint[], timeout: number): Promise<'open' | 'refused' | 'none'> {
  return new Promise(resolve => {
    const refusals = new Set<Endpoint>()
    const pending = new Set<() => void>()
    const timers: NodeJS.Timeout[] = []
    const conclude = (answer: 'open' | 'refused' | 'none'): void => {
      for (const timer of timers) clearTimeout(timer)
      for (const close of pending) close()
      resolve(answer)
    }
    const begin = (): void => {
      for (const endpoint of endpoints) {
        const socket = connect({ host: endpoint.host, port: endpoint.port })
        const close = (): void => {
          pending.delete(close)
          socket.destroy()
        }
        pending.add(close)
        socket.once('connect', () => conclude('open'))
        socket.once('error', (error: NodeJS.ErrnoException) => {
          close()
          if (error.code === 'ECONNREFUSED') refusals.add(endpoint)
          if (refusals.size === endpoints.length) conclude('refused')
        })
      }
    }
    for (let tries = 0; tries < TRIES; tries++) timers.push(setTimeout(begin, (tries * timeout) / TRIES))
    timers.push(setTimeout(() => conclude('none'), timeout))
  })
}
