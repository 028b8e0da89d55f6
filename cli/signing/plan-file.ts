import { readFile } from 'node:fs/promises'
import { InvalidArgumentError } from 'commander'
import { LineCounter, parseDocument } from 'yaml'
import * as z from 'zod'
import { FleetError } from '../../protocol/errors.ts'
import { countOrShare, duration, strategy } from '../values.ts'

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
export async function readPlanFile(file: string): Promise<PlanFile> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FleetError(
      'bad-input',
      `--file ${file}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`,
    )
  })
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines })
  const [broken] = document.errors
  if (broken !== undefined) {
    const line = lines.linePos(broken.pos[0]).line
    throw new FleetError('bad-input', `${file}:${line}: not valid YAML: ${broken.message.split('\n')[0]}`)
  }
  const checked = planFileSchema.safeParse(document.toJS() ?? {})
  if (checked.success) return checked.data
  const [issue] = checked.error.issues
  const unknown = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = unknown === undefined ? (issue?.path ?? []) : [...(issue?.path ?? []), unknown]
  const node = path.length === 0 ? undefined : document.getIn(path, true)
  const at = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? 0
  const problem =
    unknown === undefined
      ? `${path.join('.')}: ${issue?.message ?? 'not what was expected'}`
      : `unknown key ${unknown}; known are ${Object.keys(planFileSchema.shape).join(', ')}`
  throw new FleetError('bad-input', `${file}:${lines.linePos(at).line}: ${problem}`)
}

function parsed<T>(parse: () => T, ctx: z.RefinementCtx): T {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    ctx.addIssue({ code: 'custom', message: error.message })
    return z.NEVER
  }
}
