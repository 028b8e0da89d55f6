import { readdir } from 'node:fs/promises'
import { Counter, Gauge, Registry } from 'prom-client'
import type { Fleetd } from './fleetd.ts'
import type { Tidy } from './tidy.ts'

/** What `/metrics` shows; collected when it is asked for. */
export function createMetrics(fleetd: Fleetd, tidy: Pick<Tidy, 'collections' | 'heapAfter'>): Registry {
  const registry = new Registry()
  const gauge = (name: string, help: string, collect: (set: Gauge) => void | Promise<void>): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        await collect(this as unknown as Gauge)
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
  gauge('fleet_members_alive', 'Members that are alive or suspect, this one among them.', set =>
    set.set(fleetd.members()?.stats().alive ?? 0),
  )
  gauge('fleet_members_failed', 'Members that are failed.', set => set.set(fleetd.members()?.stats().failed ?? 0))
  gauge('fleet_links', 'Neighbours with an open link.', set => set.set(fleetd.network.links().length))
  gauge('fleet_health_score', 'Local health score of the failure detector: 0 is well, 8 is worst.', set =>
    set.set(fleetd.members()?.stats().healthScore ?? 0),
  )
  gauge('fleet_images_held', 'Images that this node can serve.', set => set.set(fleetd.images.holdings().length))
  gauge('fleet_images_pinned', 'Images that stay on this node until they are unpinned.', set =>
    set.set(fleetd.images.list().filter(image => fleetd.retention.isPinned(image.digest)).length),
  )
  gauge('fleet_store_bytes', 'Bytes that the chunks of all images take on the disk.', set =>
    set.set(fleetd.retention.bytes()),
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
