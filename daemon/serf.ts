import { isIPv6 } from 'node:net'
import { arch, availableParallelism, platform } from 'node:os'
import type { Logger } from 'pino'
import { FleetError, isToken, ROUTES, tokenIn } from '../protocol/index.ts'
import type { FleetService } from './api/index.ts'
import type { Events } from './events/index.ts'
import type { Fleetd } from './fleetd.ts'
import type { Members } from './members/index.ts'
import { endpointOf, parseAddress } from './network/index.ts'
import type { SerfBackend, SerfRpc } from './serf-rpc/index.ts'
import { readTokenFile } from './token-file.ts'

const SERF = 'Serf clients'

/** The port of members where an address names none, as in Serf. */
const DEFAULT_PORT = 7946

/** The parts of the daemon that clients of Serf's protocol reach. */
export interface SerfBackendInit {
  readonly fleetd: Fleetd
  readonly service: Pick<FleetService, 'join' | 'changeTags' | 'forceLeave'>
  /** `[type[,type][:name]=]script`, as they are configured now. */
  eventHandlers(): readonly string[]
}

/** `--serf-rpc`: serves Serf's clients. Undefined where nobody asked for it. Throws `unavailable`, or what is wrong with the token's file. */
export async function serveSerf(init: SerfBackendInit, log: Logger): Promise<SerfRpc | undefined> {
  const { serfRpc, serfRpcAuthFile } = init.fleetd.config
  if (serfRpc === undefined) return undefined
  // Loaded only here: most daemons have no such clients.
  const { createSerfRpc } = await import('./serf-rpc/index.ts')
  const token = serfRpcAuthFile === undefined ? undefined : tokenIn(await readTokenFile(serfRpcAuthFile, SERF), SERF)
  const rpc = await createSerfRpc({
    ...endpointOf(parseAddress(serfRpc)),
    token,
    backend: createSerfBackend(init),
    log,
  })
  log.info({ address: rpc.address, token: token !== undefined }, `Serf clients are served at ${rpc.address}`)
  return rpc
}

/** What Serf's RPC protocol needs, from the parts of the daemon. What needs a fleet throws `unclaimed` where there is none. */
export function createSerfBackend({ fleetd, service, eventHandlers }: SerfBackendInit): SerfBackend {
  const { queries, happenings, logTap } = fleetd
  const members = (): Members => {
    fleetd.trust.demand()
    return fleetd.members()!
  }
  const events = (): Events => {
    fleetd.trust.demand()
    return fleetd.events()!
  }
  return {
    now: fleetd.now,
    members: () => members().members(),
    async join(targets, signal) {
      let reached = 0
      for (const token of targets.filter(isToken)) reached += (await service.join({ token }, signal)).reached.length
      const addresses = targets.filter(target => !isToken(target)).map(withPort)
      if (addresses.length > 0) reached += (await service.join({ addresses }, signal)).reached.length
      return reached
    },
    leave: () => members().leave(),
    stop: () => fleetd.requestStop({ leave: true }),
    forceLeave: (node, prune) => service.forceLeave(node, prune),
    async changeTags(set, remove) {
      const change = ROUTES['POST /v1/tags'].body.safeParse({
        set,
        delete: remove.filter(key => !Object.hasOwn(set, key)),
      })
      if (!change.success) {
        const issue = change.error.issues[0]!
        const why = issue.code === 'invalid_key' ? issue.issues[0]!.message : issue.message
        throw new FleetError('bad-input', `tag ${JSON.stringify(issue.path.at(-1))}: ${why}`)
      }
      await service.changeTags(change.data)
    },
    async fire(event) {
      await events().fire(event)
    },
    async query(query, on, signal) {
      members()
      await queries.ask({ ...query, groups: [], zones: [] }, on, signal)
    },
    coordinate(node) {
      const all = members().members()
      const found = all.find(({ name }) => name === node) ?? all.find(({ id }) => id === node)
      return found?.coordinate ?? undefined
    },
    listen: listener => happenings.listen(listener),
    logs: (level, listener) => logTap.listen(level, listener),
    stats: () => ({
      agent: { name: fleetd.config.name },
      runtime: {
        os: platform(),
        arch: arch(),
        version: `node ${process.version}`,
        cpu_count: String(availableParallelism()),
      },
      serf: {
        ...counts(fleetd.members()),
        member_time: String(fleetd.dataDir.epoch),
        event_time: String(fleetd.events()?.ltime() ?? 0),
        query_time: String(queries.ltime()),
        // News is handed to connections at once, and waits in no queue of ours.
        ...{ intent_queue: '0', event_queue: '0', query_queue: '0' },
        encrypted: 'true',
      },
      tags: { ...(fleetd.members()?.record().tags ?? fleetd.labels().tags) },
      event_handlers: Object.fromEntries(eventHandlers().flatMap(handlerEntries)),
    }),
  }
}

function counts(members: Members | undefined): Record<string, string> {
  const { failed, left, healthScore, coordinateResets } = members?.stats() ?? NOBODY
  return {
    members: String(members?.members().length ?? 0),
    failed: String(failed),
    left: String(left),
    health_score: String(healthScore),
    coordinate_resets: String(coordinateResets),
  }
}
const NOBODY = { failed: 0, left: 0, healthScore: 0, coordinateResets: 0 }

/** One line for each of a handler's filters: `user:deploy = ./deploy.sh`, as Serf's agent has them. */
function handlerEntries(spec: string): [filter: string, script: string][] {
  const equals = spec.indexOf('=')
  const filters = equals < 0 ? ['*'] : spec.slice(0, equals).split(',')
  return filters.map(filter => [filter.includes(':') ? filter : `${filter}:`, spec.slice(equals + 1)])
}

/** A host alone is a member's address as well. */
const withPort = (address: string): string =>
  isIPv6(address)
    ? `[${address}]:${DEFAULT_PORT}`
    : address.startsWith('/') || /(^[^:]*|\]):\d+$/.test(address)
      ? address
      : `${address}:${DEFAULT_PORT}`
