import { isIPv4 } from 'node:net'
import type { MemberView } from '../../membership/index.ts'
import { type Address, FleetError, type ServiceInstance } from '../../protocol/index.ts'
import { endpointOf } from '../network/index.ts'

/** The first IPv4 and the first IPv6 address of a member, in the order in which it names them. */
export function hostsOf(addresses: readonly Address[]): {
  readonly v4: string | undefined
  readonly v6: string | undefined
} {
  const hosts = addresses.flatMap(address => hostOf(address) ?? [])
  return { v4: hosts.find(isIPv4), v6: hosts.find(host => host.includes(':')) }
}

/** Undefined for what is no address of its own: a name, or a way through another member. */
function hostOf(address: Address): string | undefined {
  if (!/^\/ip[46]\//.test(address)) return undefined
  try {
    return endpointOf(address).host
  } catch (error) {
    if (error instanceof FleetError) return undefined
    throw error
  }
}

/** Who may be sent somebody: a member that is there, with a service that is well and not about to stop. */
export const isAvailable = ({
  status,
  health,
  weight,
}: Pick<ServiceInstance, 'status' | 'health' | 'weight'>): boolean =>
  (status === 'alive' || status === 'suspect') && health === 'passing' && weight > 0

/** Every instance of every service, those that are not available too; none of members that have left. */
export function instancesOf(members: readonly MemberView[]): ServiceInstance[] {
  return members
    .filter(({ status }) => status !== 'left')
    .flatMap(member => {
      if (member.services.length === 0) return []
      const { v4, v6 } = hostsOf(member.addresses)
      return member.services.map(({ name, port, protocol, health, weight }) => {
        const { id, name: nodeName, status, zone, group, tags, taint } = member
        const instance = { node: id, nodeName, status, zone, group, tags: { ...tags }, taint, health, weight }
        const addresses = [v4, v6].filter(host => host !== undefined)
        return { service: name, port, protocol, addresses, ...instance, available: isAvailable(instance) }
      })
    })
    .sort((a, b) => order(a.service, b.service) || order(a.nodeName, b.nodeName) || order(a.node, b.node))
}

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Instances as Prometheus's HTTP service discovery wants them: it scrapes the unwell ones too, and forgets those that are not told. */
export function scrapeTargets(
  instances: readonly ServiceInstance[],
): { targets: string[]; labels: Record<string, string> }[] {
  return instances
    .filter(({ protocol, addresses }) => protocol === 'tcp' && addresses.length > 0)
    .map(instance => {
      const host = instance.addresses[0]!
      const labels: Record<string, string> = {
        service: instance.service,
        node: instance.nodeName,
        node_id: instance.node,
        status: instance.status,
        zone: instance.zone,
        group: instance.group,
        health: instance.health,
        weight: String(instance.weight),
      }
      for (const [key, value] of Object.entries(instance.tags))
        labels[`tag_${key.replace(/[^A-Za-z0-9_]/g, '_')}`] = value
      return {
        targets: [`${isIPv4(host) ? host : `[${host}]`}:${instance.port}`],
        labels: Object.fromEntries(Object.entries(labels).map(([key, value]) => [`__meta_fleet_${key}`, value])),
      }
    })
}
