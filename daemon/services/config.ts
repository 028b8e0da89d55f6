import ms from 'ms'
import * as z from 'zod'
import { fields, LIMITS, port, serviceName, serviceSchema, weight } from '../../protocol/index.ts'
import { checksSchema, duration } from '../drivers/config.ts'

/** One service of the host. Times are milliseconds after parsing. */
const oneSchema = z.strictObject({
  port,
  protocol: serviceSchema.shape.protocol.default('tcp'),
  /** The layer whose program offers it: it is as well as that layer, and nobody is sent to it while the layer is replaced. */
  layer: fields.label.optional(),
  /** Share of the callers that it gets, beside other instances. */
  weight: weight.default(100),
  /** How long nobody has been sent to it before its layer's program is stopped. Longer than those who ask remember the answer. */
  drain: duration.default(ms('2s')),
  /** What else has to hold for it to be well. */
  checks: checksSchema,
})

export const servicesSchema = z
  .record(serviceName, oneSchema)
  .refine(services => Object.keys(services).length <= LIMITS.services, `expected at most ${LIMITS.services} services`)
export type ServicesConfig = z.infer<typeof servicesSchema>
