import * as z from 'zod'
import { packedCoordinate } from '../coordinate.ts'
import { LIMITS } from '../limits.ts'
import type { StatementKind } from '../statement.ts'
import { address, bytes, counter, digest, label, nodeClass, nodeId, reason, tags, time } from './fields.ts'

/** A service's name: one label of DNS (RFC 1035, 2.3.1), in lower case. */
export const serviceName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, 'expected at most 63 lower-case letters, digits or dashes')
export const port = z.number().int().min(1).max(65_535)
/** What share of a service's callers an instance gets, beside the others; 0: none, it is about to stop. As in SRV (RFC 2782). */
export const weight = z.number().int().min(0).max(65_535)

/** Something that a node offers to whoever can reach its addresses. */
export const serviceSchema = z.object({ name: serviceName, port, protocol: z.enum(['tcp', 'udp']) })
export type Service = z.infer<typeof serviceSchema>

const perService = <T extends z.ZodType<{ name: string }>>(item: T) =>
  z
    .array(item)
    .max(LIMITS.services)
    .refine(list => new Set(list.map(({ name }) => name)).size === list.length, 'two services have the same name')
    .readonly()

/**
 * What a node says of itself and seldom changes. Versioned by (epoch, seq): the epoch is persisted and grows at every
 * start, so a restarted node is never older than what others remember of it.
 */
export const recordSchema = z.object({
  node: nodeId,
  epoch: counter,
  seq: counter,
  /** `left`: it said goodbye. Only the node itself can say so. */
  presence: z.enum(['here', 'left']),
  name: label,
  addresses: z.array(address).max(LIMITS.addresses),
  class: nodeClass,
  zone: label,
  group: label,
  tags,
  /** fleetd's version. */
  version: z.string().max(64),
  /** For class intermittent: how long it may be away before it is overdue. Milliseconds. */
  contactDeadline: counter.optional(),
  /** The CERTIFICATE envelope, so that the record can be trusted by nodes that never met its author. */
  certificate: bytes(LIMITS.certificate),
  services: perService(serviceSchema).optional(),
})
export type NodeRecord = z.infer<typeof recordSchema>
export const RECORD: StatementKind<NodeRecord> = {
  domain: 'fleetd/record/1',
  schema: recordSchema,
  maxBytes: LIMITS.record,
}

/** Where a layer stands on its way from one image to the next. */
export const layerState = z.enum([
  'empty',
  'running',
  'fetching',
  'staged',
  'waiting',
  'draining',
  'starting',
  'verifying',
  'reverting',
  'failed',
])
export type LayerState = z.infer<typeof layerState>

export const layerStatusSchema = z.object({
  layer: label,
  /** The image in the current slot. */
  digest: digest.nullable(),
  /** Its label, `name:version`. */
  version: z
    .string()
    .max(2 * LIMITS.name)
    .nullable(),
  state: layerState,
  /** 0 to 1 while fetching, otherwise 1. */
  progress: z.number().min(0).max(1),
})
export type LayerStatus = z.infer<typeof layerStatusSchema>

/** `failing`: a check of a layer is past its failure threshold. `unknown`: none has run yet. */
export const health = z.enum(['passing', 'failing', 'unknown'])
export type Health = z.infer<typeof health>

export const serviceVitalsSchema = z.object({ name: serviceName, health, weight })
export type ServiceVitals = z.infer<typeof serviceVitalsSchema>

/** The small part of what a node says of itself that changes often. Its version (epoch, seq) is counted apart from the record's. */
export const vitalsSchema = z.object({
  node: nodeId,
  epoch: counter,
  seq: counter,
  health,
  /** Why, in a sentence, when not passing. */
  reason,
  layers: z.array(layerStatusSchema).max(LIMITS.layers),
  /** Images that it holds or is fetching, so that peers know whom to ask. */
  images: z.array(digest).max(LIMITS.images),
  /** Marks of a node that was changed by hand or has outlived its image. */
  taint: z.array(label).max(8),
  /** Where it stands in the space of round trips, once it has measured one (`packCoordinate`). */
  coordinate: packedCoordinate.optional(),
  /** How the services of its record do. One that is not named here is not known to be well. */
  services: perService(serviceVitalsSchema).optional(),
})
export type Vitals = z.infer<typeof vitalsSchema>
export const VITALS: StatementKind<Vitals> = {
  domain: 'fleetd/vitals/1',
  schema: vitalsSchema,
  maxBytes: LIMITS.vitals,
}

/**
 * An observer has not heard from the subject as it was at (epoch, seq) of its record. With a dismissal it is all that a node may
 * say of another, and only of one that it is assigned to observe. A newer record of the subject refutes it.
 */
export const suspicionSchema = z.object({
  subject: nodeId,
  epoch: counter,
  seq: counter,
  /**
   * `unreachable`: nor does its host answer a connection, as it used to. `refused`: its host answers that nothing listens there, so
   * the process is gone.
   */
  evidence: z.enum(['silence', 'unreachable', 'refused']),
  since: time,
})
export type Suspicion = z.infer<typeof suspicionSchema>
export const SUSPICION: StatementKind<Suspicion> = {
  domain: 'fleetd/suspicion/1',
  schema: suspicionSchema,
  maxBytes: LIMITS.suspicion,
}

/**
 * A member or an operator has done with a subject that is failed, or gone already: it is to count as left, and with `prune` to be listed no
 * more. It holds for exactly this version of the subject's record, and only at nodes that hold the subject for failed by their
 * own judgement; a newer record makes it void. So it says nothing about one that lives.
 */
export const dismissalSchema = z.object({
  subject: nodeId,
  epoch: counter,
  seq: counter,
  presence: z.enum(['here', 'left']),
  prune: z.boolean(),
})
export type Dismissal = z.infer<typeof dismissalSchema>
export const DISMISSAL: StatementKind<Dismissal> = {
  domain: 'fleetd/dismissal/1',
  schema: dismissalSchema,
  maxBytes: LIMITS.dismissal,
}
