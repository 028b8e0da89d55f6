import * as z from 'zod'
import { label, nodeId, tags } from '../statements/fields.ts'
import { serviceName } from '../statements/member.ts'
import { list } from './fields.ts'
import { memberStatus, serviceStateSchema } from './fleet.ts'

/** One node's part in a service. */
export const serviceInstanceSchema = z.object({
  ...serviceStateSchema.omit({ name: true }).shape,
  service: serviceName,
  /** IP addresses: the first IPv4 and the first IPv6 of its record. */
  addresses: list(z.string()),
  node: nodeId,
  nodeName: label,
  status: memberStatus,
  zone: label,
  group: label,
  tags,
  taint: list(z.string()),
  /** DNS names it: its node is there, it is well, and it is not about to stop. */
  available: z.boolean(),
})
export type ServiceInstance = z.infer<typeof serviceInstanceSchema>

export const servicesQuerySchema = z.strictObject({ service: serviceName.optional() })
export const servicesViewSchema = z.object({ services: list(serviceInstanceSchema) })
export type ServicesView = z.infer<typeof servicesViewSchema>

/** Prometheus's HTTP service discovery: an array of groups, each with the labels of its targets. */
export const scrapeTargetsSchema = list(
  z.object({ targets: list(z.string()), labels: z.record(z.string(), z.string()) }),
)
export type ScrapeTargets = z.infer<typeof scrapeTargetsSchema>
