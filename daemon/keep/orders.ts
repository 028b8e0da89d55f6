import * as z from 'zod'
import {
  decode,
  encode,
  FleetError,
  fields,
  type Kept,
  keptOf,
  LIMITS,
  type MarkOrder,
  type Millis,
  type NodeId,
  openMarkOrder,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import type { Network } from '../network/index.ts'
import type { Noting } from '../rollout/index.ts'
import type { DataDir } from '../state/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Trust } from '../trust/index.ts'
import type { Keeping } from './keeping.ts'

const FILE = 'mark-orders'
const SERVICE = { order: 'mark', report: 'kept', scan: 'compare' } as const
/** How long an order is good for after it was signed: it is carried to its node at once, or not at all. */
const GOOD_FOR = 10 * 60_000
/** Orders that are remembered as done; more than are signed in the time that they are good for. */
const REMEMBERED = 256
const ASK_TIMEOUT = 10_000
/** Comparisons may take as long as the slots are large. */
const SCAN_TIMEOUT = 30 * 60_000

const doneSchema = z.array(fields.digest)

/** Orders about what a node runs, and questions about it, from anywhere in the fleet. */
export interface KeepOrders {
  /** Carries an operator's order to the node that it names, which may be this one. Throws that node's refusal, or `unavailable`. */
  give(statement: Uint8Array, signal: AbortSignal): Promise<{ node: NodeId; kept: Kept }>
  report(node: NodeId, signal: AbortSignal): Promise<Kept>
  scan(node: NodeId, signal: AbortSignal): Promise<Kept>
}

/** Throws `corrupt` where what was done cannot be read. */
export async function createKeepOrders(init: {
  readonly network: Network
  readonly trust: Pick<Trust, 'demand'>
  readonly store: Pick<DataDir, 'readFile' | 'writeDurably'>
  readonly keeping: Keeping
  readonly note: Noting
  readonly now: () => Millis
}): Promise<KeepOrders> {
  const { network, trust, store, keeping, note, now } = init
  const bytes = await store.readFile(FILE)
  let done: readonly string[] = bytes === undefined ? [] : doneSchema.parse(decode(bytes, LIMITS.rpcMessage))
  let turn: Promise<unknown> = Promise.resolve()

  /** Once, in time, and on disk that it was before it is done: whoever has heard an order cannot say it again. */
  const carryOut = async (order: Statement<MarkOrder>): Promise<Kept> => {
    if (done.includes(order.id)) throw new FleetError('refused', 'this order was carried out before')
    if (now() - order.clock > GOOD_FOR)
      throw new FleetError(
        'refused',
        `this order was signed at ${new Date(order.clock).toISOString()} and was good for ten minutes; set the clocks, or sign it again`,
      )
    const next = [...done, order.id].slice(-REMEMBERED)
    await store.writeDurably(FILE, encode(next))
    done = next
    return keeping.order(order)
  }
  const take = (statement: Uint8Array): Promise<Kept> => {
    const mine = turn.then(async () => {
      try {
        const order = openMarkOrder(trust.demand(), statement, now())
        if (order.body.node !== network.self) throw new FleetError('refused', 'this order is for another node')
        return await carryOut(order)
      } catch (error) {
        const { code, message } = toFleetError(error)
        note({
          kind: 'order-refused',
          subject: 'mark',
          text: `an order about what this node runs was refused: ${message}`,
          detail: { code },
          outsider: true,
        })
        throw error
      }
    })
    turn = mine.catch(() => undefined)
    return mine
  }

  network.serve(SERVICE.order, async (_from, body) => encode(await take(body)))
  network.serve(SERVICE.report, () => encode(keeping.report()))
  let scanning: Promise<Kept> | undefined
  /** One at a time, whoever asks. */
  const scan = (): Promise<Kept> => {
    scanning ??= keeping.scan(timeLimit(SCAN_TIMEOUT)).finally(() => {
      scanning = undefined
    })
    return scanning
  }
  network.serve(SERVICE.scan, async () => encode(await scan()))

  const ask = async (node: NodeId, service: string, body: Uint8Array, signal: AbortSignal, patience = ASK_TIMEOUT) =>
    keptOf(
      decode(
        await network.request(node, service, body, {
          signal: timeLimit(patience, signal),
        }),
        LIMITS.rpcMessage,
      ),
    )
  const nothing = new Uint8Array()

  return {
    async give(statement, signal) {
      const { node } = openMarkOrder(trust.demand(), statement, now()).body
      return {
        node,
        kept: node === network.self ? await take(statement) : await ask(node, SERVICE.order, statement, signal),
      }
    },
    report: async (node, signal) =>
      node === network.self ? keeping.report() : ask(node, SERVICE.report, nothing, signal),
    scan: (node, signal) => (node === network.self ? scan() : ask(node, SERVICE.scan, nothing, signal, SCAN_TIMEOUT)),
  }
}
