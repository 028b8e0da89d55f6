import type { ServiceInstance } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'

const COLUMNS: readonly Column<ServiceInstance>[] = [
  { head: 'SERVICE', cell: instance => instance.service },
  { head: 'NODE', cell: instance => instance.nodeName },
  { head: 'ADDRESS', cell: ({ addresses, port }) => addresses.map(host => hostPort(host, port)).join(' ') },
  { head: 'PROTOCOL', cell: instance => instance.protocol, spare: true },
  { head: 'ZONE', cell: instance => instance.zone, spare: true },
  { head: 'STATUS', cell: instance => instance.status },
  {
    head: 'HEALTH',
    cell: ({ health, available }) => ({
      text: health,
      tint: available ? 'green' : health === 'failing' ? 'red' : 'dim',
    }),
  },
  { head: 'WEIGHT', cell: instance => String(instance.weight) },
]

const hostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`

export async function run(context: Context, name: string | undefined): Promise<undefined> {
  const query = name === undefined ? {} : { service: name }
  const { services } = await context.client.call('GET /v1/services', { query })
  context.show({ services }, () => table(COLUMNS, services, context.paint, context.width))
  return
}
