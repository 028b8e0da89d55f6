import type { MemberView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { plain, plural } from '../text.ts'

interface Options {
  readonly verbose?: true
  readonly timeout?: number
}

/** The query that every daemon acknowledges by itself. */
const PING = '_ping'

/** A suspect is not failed yet, and has as much to answer as anybody. */
const lives = ({ status }: MemberView): boolean => status === 'alive' || status === 'suspect'

/** Asks everybody for a sign, and compares who gave one with who is alive by the membership list. Exits with 1 when somebody is missing. */
export async function run(context: Context, { verbose, timeout = 0 }: Options): Promise<number> {
  const { client, json } = context
  const { members } = await client.call('GET /v1/members')
  const missing = new Map(members.filter(lives).map(({ id, name }) => [id, name]))
  const expected = missing.size
  const unexpected: string[] = []
  const progress = (text: string): void => {
    if (!json) context.say(plain(text))
  }
  progress(`Asking ${plural(expected, 'live member')} for a sign`)
  const began = performance.now()
  await client.stream('POST /v1/queries', { body: { name: PING, timeoutMs: timeout } }, ({ type, node, name }) => {
    if (type !== 'ack') return
    if (verbose === true) progress(`  ${name} after ${Math.round(performance.now() - began)} ms`)
    if (!missing.delete(node)) unexpected.push(name)
  })
  const reached = expected - missing.size
  const took = Math.round(performance.now() - began)
  if (json)
    context.emit({
      expected,
      reached,
      unexpected,
      missing: [...missing].map(([id, name]) => ({ id, name })),
      tookMs: took,
    })
  else if (missing.size === 0) context.say(`All ${expected} answered within ${took} ms`)
  else context.terminal.stderr.write(advice(reached, expected, [...missing.values()]))
  if (!json && unexpected.length > 0)
    context.say(plain(`Answered, though not alive by this daemon's list when it was read: ${unexpected.join(', ')}`))
  return missing.size === 0 ? 0 : 1
}

function advice(reached: number, expected: number, missing: readonly string[]): string {
  return `fleetctl: reachability: ${plain(`${reached} of ${expected} live members answered; not: ${missing.join(', ')}`)}
  What to check:
    fleetctl members                 a member that failed just now is not a network that is broken
    fleetctl reachability            again: a query may be lost where much is; try also --timeout 30s
    the firewalls on both sides      every member must be able to reach the port of every other, in both directions (TCP 7946 by default)
    --advertise on those hosts       what "fleetctl members" shows as their address must be reachable from here
    their load and their clocks      a daemon that stands still answers late; one whose clock is minutes off is not believed
`
}
