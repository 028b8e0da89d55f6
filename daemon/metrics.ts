import { Gauge, Registry } from 'prom-client'
import type { Fleetd } from './fleetd.ts'

/** What `/metrics` shows; collected when it is asked for. */
export function createMetrics(fleetd: Fleetd): Registry {
  const registry = new Registry()
  const gauge = (name: string, help: string, collect: (set: Gauge) => void): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        collect(this as unknown as Gauge)
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
  gauge('process_resident_memory_bytes', 'Resident memory.', set => set.set(process.memoryUsage.rss()))
  return registry
}
