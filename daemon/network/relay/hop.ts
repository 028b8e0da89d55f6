import { type StreamHandler, start, stop } from '@libp2p/interface'
import { FleetError } from '../../../protocol/index.ts'
import { onStreamEnd } from '../muxer.ts'
import { componentsFor, type Ground } from './components.ts'

/** As `@libp2p/circuit-relay-v2` calls it (libp2p/specs, relay/circuit-v2.md). Written here so that the library need not be loaded. */
const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'

/** Members that may hold a reservation here at once. Each costs a few hundred bytes, on a connection that it has anyway. */
const RESERVATIONS = 64
/** Connections that are carried at once, and by one peer: each may hold a stream's window of up to 1 MiB either way. */
const CARRIED = 128
const CARRIED_FOR_ONE = 32
/** What one carried connection may move either way, in bytes, and how long it may last, in milliseconds; then its ends make another. An image fits many times. */
const CARRIED_BYTES = 64n * 1024n ** 3n
const CARRIED_TIME = 12 * 60 * 60_000

/**
 * Carries connections between admitted peers, of which one has a reservation here. `mayReserve` is asked before each reservation. Gives back what ends it.
 */
export async function carryForOthers(ground: Ground, mayReserve: () => boolean): Promise<() => Promise<void>> {
  let server: Promise<{ handler: StreamHandler; end: () => Promise<void> }> | undefined
  let carried = 0

  const load = async (): Promise<{ handler: StreamHandler; end: () => Promise<void> }> => {
    const { circuitRelayServer } = await import('./library.ts')
    let handler: StreamHandler | undefined
    const components = componentsFor(
      ground,
      async (_protocol, given) => {
        handler = given
      },
      mayReserve,
    )
    const service = circuitRelayServer({
      maxOutboundStopStreams: CARRIED_FOR_ONE,
      reservations: {
        maxReservations: RESERVATIONS,
        defaultDataLimit: CARRIED_BYTES,
        defaultDurationLimit: CARRIED_TIME,
      },
    })(components)
    await start(service)
    if (handler === undefined) throw new FleetError('internal', 'circuit relay did not say who takes its streams')
    return { handler, end: () => stop(service) }
  }

  await ground.sessions.handle(
    HOP_PROTOCOL,
    async ({ connection }, stream) => {
      if (carried >= CARRIED) throw new FleetError('unavailable', `this node carries ${CARRIED} connections already`)
      carried += 1
      onStreamEnd(stream, () => {
        carried -= 1
      })
      server ??= load()
      const { handler } = await server
      await handler({ connection, stream })
    },
    { maxInboundStreams: CARRIED_FOR_ONE, maxOutboundStreams: CARRIED_FOR_ONE },
  )
  return async () => {
    await (await server)?.end()
  }
}
