import { readdir } from 'node:fs/promises'
import { Counter, Gauge, Registry } from 'prom-client'
import { health, type MemberStatus, type RolloutStatusView } from '../protocol/index.ts'
import type { Fleetd } from './fleetd.ts'
import type { Tidy } from './tidy.ts'

const STATUSES: readonly MemberStatus[] = ['alive', 'suspect', 'failed', 'left', 'away', 'overdue']

/** What `/metrics` shows, as docs/metrics.md lists it; collected when it is asked for. */
export function createMetrics(fleetd: Fleetd, tidy: Pick<Tidy, 'collections' | 'heapAfter'>): Registry {
  const registry = new Registry()
  const gauge = <L extends string = never>(
    name: string,
    help: string,
    collect: (set: Gauge<L>) => void | Promise<void>,
    labelNames: readonly L[] = [],
  ): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      async collect() {
        // What is gone is not shown with the value that it had.
        if (labelNames.length > 0) this.reset()
        await collect(this as unknown as Gauge<L>)
      },
    })
  }
  const counter = (name: string, help: string, value: () => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  }
  gauge(
    'fleet_info',
    'Always 1; its labels say which node this is.',
    set => {
      const { zone, group } = fleetd.labels()
      set.set({ node: fleetd.network.self, name: fleetd.config.name, zone, group, version: fleetd.version }, 1)
    },
    ['node', 'name', 'zone', 'group', 'version'],
  )
  gauge(
    'fleet_members',
    'Members by status, this one among them.',
    set => {
      for (const status of STATUSES) set.set({ status }, 0)
      for (const { status } of fleetd.members()?.members() ?? []) set.inc({ status })
    },
    ['status'],
  )
  gauge(
    'fleet_members_health',
    'Members that are alive or suspect, by the health that they say they are in.',
    set => {
      for (const state of health.options) set.set({ health: state }, 0)
      for (const member of fleetd.members()?.members() ?? [])
        if (member.status === 'alive' || member.status === 'suspect') set.inc({ health: member.health })
    },
    ['health'],
  )
  gauge('fleet_members_alive', 'Members that are alive or suspect, this one among them.', set =>
    set.set(fleetd.members()?.stats().alive ?? 0),
  )
  gauge('fleet_members_failed', 'Members that are failed.', set => set.set(fleetd.members()?.stats().failed ?? 0))
  gauge('fleet_links', 'Neighbours with an open link.', set => set.set(fleetd.network.links().length))
  gauge('fleet_health_score', 'Local health score of the failure detector: 0 is well, 8 is worst.', set =>
    set.set(fleetd.members()?.stats().healthScore ?? 0),
  )
  const perGroup = (name: string, help: string, value: (rollout: RolloutStatusView) => number): void =>
    gauge(
      name,
      help,
      set => {
        for (const rollout of fleetd.rollouts.list()) set.set({ group: rollout.group }, value(rollout))
      },
      ['group'],
    )
  perGroup('fleet_rollout_generation', "Number of the group's newest rollout.", ({ generation }) => generation)
  perGroup('fleet_rollout_permits', 'Permits to be down that are held in the group.', ({ permits }) => permits.length)
  perGroup('fleet_rollout_under_way', "1 while the group's newest rollout is not at its end, else 0.", ({ phase }) =>
    ['idle', 'done', 'rolled-back', 'aborted'].includes(phase) ? 0 : 1,
  )
  perGroup('fleet_rollout_paused', "1 while the group's newest rollout is paused, else 0.", ({ phase }) =>
    phase === 'paused' ? 1 : 0,
  )
  gauge(
    'fleet_rollout_nodes',
    "Nodes of the group's newest rollout by how it went there: ok, failed, or pending.",
    set => {
      for (const { group, ok, failed, pending } of fleetd.rollouts.list())
        for (const [state, count] of Object.entries({ ok, failed, pending })) set.set({ group, state }, count)
    },
    ['group', 'state'],
  )
  gauge('fleet_images_held', 'Images that this node can serve.', set => set.set(fleetd.images.holdings().length))
  gauge('fleet_images_pinned', 'Images that stay on this node until they are unpinned.', set =>
    set.set(fleetd.images.list().filter(image => fleetd.retention.isPinned(image.digest)).length),
  )
  gauge('fleet_store_bytes', 'Bytes that the chunks of all images take on the disk.', set =>
    set.set(fleetd.retention.bytes()),
  )
  gauge('fleet_store_quota_bytes', 'Bytes that the chunks of all images may take (--quota).', async set =>
    set.set((await fleetd.retention.space()).quota),
  )
  gauge('fleet_disk_free_bytes', 'Bytes that are free on the disk of the data directory.', async set =>
    set.set((await fleetd.retention.space()).free),
  )
  gauge('fleet_disk_floor_bytes', 'Bytes that images leave free on that disk (--min-free).', async set =>
    set.set((await fleetd.retention.space()).minFree),
  )
  counter(
    'fleet_image_received_bytes_total',
    'Bytes of image chunks that came from peers, as they travelled: packed where that was smaller.',
    () => fleetd.images.traffic().received,
  )
  counter(
    'fleet_image_sent_bytes_total',
    'Bytes of image chunks that went to peers, as they travelled.',
    () => fleetd.images.traffic().sent,
  )
  const { scrub } = fleetd
  counter(
    'fleet_scrub_chunks_total',
    'Stored chunks that were read and compared with their digests.',
    () => scrub.stats().read,
  )
  counter('fleet_chunks_damaged_total', 'Stored chunks that did not match their digests.', () => scrub.stats().damaged)
  counter('fleet_chunks_mended_total', 'Damaged chunks that came anew from a peer.', () => scrub.stats().mended)
  gauge('fleet_chunks_lacking', 'Damaged chunks that no peer has given back yet.', set =>
    set.set(scrub.stats().lacking),
  )
  const handlers = fleetd.handlers.stats
  counter('fleet_handlers_started_total', 'Runs of event handlers that were started.', () => handlers().started)
  counter('fleet_handlers_failed_total', 'Runs of event handlers that failed or timed out.', () => handlers().failed)
  counter(
    'fleet_handlers_timed_out_total',
    'Runs of event handlers that were killed after their time.',
    () => handlers().timedOut,
  )
  counter(
    'fleet_handlers_dropped_total',
    'Member events and queries that event handlers were too slow for.',
    () => handlers().dropped,
  )
  gauge('fleet_handlers_running', 'Event handlers that run now.', set => set.set(handlers().running))
  gauge('fleet_handlers_queued', 'Member events and queries that wait for event handlers.', set =>
    set.set(handlers().queued),
  )
  gauge('process_start_time_seconds', 'When the daemon was started, in seconds since 1970.', set =>
    set.set(fleetd.startedAt / 1000),
  )
  counter('process_cpu_seconds_total', 'Processor time, of the system on its behalf too.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  gauge('process_resident_memory_bytes', 'Resident memory.', set => set.set(process.memoryUsage.rss()))
  // What would grow in a daemon that leaks.
  gauge('process_open_fds', 'Open file descriptors.', async set => {
    const open = await readdir('/proc/self/fd').catch(() => [])
    set.set(open.length)
  })
  gauge('nodejs_active_resources', 'Timers, sockets and the like that the event loop waits for.', set =>
    set.set(process.getActiveResourcesInfo().length),
  )
  gauge(
    'fleet_heap_after_collection_bytes',
    'Heap in use right after the latest full collection; 0 before the first.',
    set => set.set(tidy.heapAfter() ?? 0),
  )
  counter(
    'fleet_collections_total',
    'Full collections that the daemon asked for, every five minutes and on SIGUSR2.',
    () => tidy.collections(),
  )
  return registry
}
