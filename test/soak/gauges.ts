import type { Daemon } from '../support/daemons.ts'
import { fetchFrom } from '../support/http.ts'
import { eventually } from '../support/wait.ts'

/** What would grow in a daemon that leaks, right after its garbage was collected. */
export interface Gauges {
  /** Bytes. */
  readonly heap: number
  readonly files: number
  /** Sockets, timers and the like. */
  readonly resources: number
  /** Resident bytes; reported, and held against nobody: what the allocator keeps is not a leak. */
  readonly resident: number
}

/** Has the daemon collect its garbage, and reads what is left. */
export async function gaugesOf(daemon: Daemon): Promise<Gauges> {
  const before = (await metricsOf(daemon)).get('fleet_collections_total') ?? 0
  daemon.kill('SIGUSR2')
  const metrics = await eventually(`${daemon.name} to have collected its garbage`, async () => {
    const now = await metricsOf(daemon)
    return (now.get('fleet_collections_total') ?? 0) > before ? now : undefined
  })
  const read = (name: string): number => {
    const value = metrics.get(name)
    if (value === undefined) throw new Error(`${daemon.name} has no metric ${name}`)
    return value
  }
  return {
    heap: read('fleet_heap_after_collection_bytes'),
    files: read('process_open_fds'),
    resources: read('nodejs_active_resources'),
    resident: read('process_resident_memory_bytes'),
  }
}

async function metricsOf(daemon: Daemon): Promise<Map<string, number>> {
  const { body } = await fetchFrom(daemon.socket, '/metrics')
  const lines = body.split('\n').filter(line => line !== '' && !line.startsWith('#'))
  return new Map(lines.map(line => line.split(' ')).map(([name, value]) => [name!, Number(value)]))
}
