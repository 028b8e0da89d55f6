import { InvalidArgumentError } from 'commander'
import * as z from 'zod'
import { countOrShare, duration, strategy } from '../values.ts'
import { readYaml } from './yaml-file.ts'

const time = z.string().transform((text, ctx) => parsed(() => duration(text), ctx))
const count = z.union([
  z.number().int().min(1),
  z.string().transform((text, ctx) => parsed(() => countOrShare(text), ctx)),
])

const planFileSchema = z.strictObject({
  layer: z.string().optional(),
  image: z.string().optional(),
  group: z.string().optional(),
  select: z.record(z.string(), z.string()).optional(),
  strategy: z
    .string()
    .transform((text, ctx) => parsed(() => strategy(text), ctx))
    .optional(),
  maxUnavailable: count.optional(),
  canary: z.number().int().min(1).optional(),
  waves: z.array(count).min(1).optional(),
  soak: time.optional(),
  analysis: time.optional(),
  maxPerZone: z.number().int().min(1).optional(),
  orderBy: z.string().optional(),
  window: z.array(z.string()).min(1).optional(),
  minHealthy: time.optional(),
  deadline: time.optional(),
  progressDeadline: time.optional(),
  maxFailed: z.number().int().min(1).optional(),
  reason: z.string().optional(),
  force: z.boolean().optional(),
})
export type PlanFile = z.infer<typeof planFileSchema>

/** The settings of a plan as a file has them, named as the flags are. Throws `bad-input` with file, line and what was expected. */
export const readPlanFile = (file: string): Promise<PlanFile> => readYaml(file, planFileSchema, '--file ')

function parsed<T>(parse: () => T, ctx: z.RefinementCtx): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    ctx.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
}
