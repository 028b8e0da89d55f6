import ms from 'ms'
import * as z from 'zod'

/** A length of time in text, `500ms` or `2m`, as milliseconds. */
export const duration = z.string().transform((text, context) => {
  const value = /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text) ? ms(text as ms.StringValue) : undefined
  if (value === undefined) {
    context.addIssue({
      code: 'custom',
      message: `expected a length of time such as 500ms, 10s or 2m, found ${JSON.stringify(text)}`,
    })
    return z.NEVER
  }
  return value
})

const checkSchema = z
  .strictObject({
    name: z.string().min(1).max(64),
    /** A URL: passes on a 2xx or 3xx answer. */
    http: z.url({ protocol: /^https?$/ }).optional(),
    /** HOST:PORT: passes when a connection is accepted. */
    tcp: z
      .string()
      .regex(/^.+:\d{1,5}$/, 'expected HOST:PORT')
      .optional(),
    /** A shell command in the slot: passes on exit 0. */
    exec: z.string().min(1).optional(),
    interval: duration.default(1_000),
    timeout: duration.default(1_000),
    /** This many failures in a row make the layer failing. */
    failures: z.number().int().min(1).max(100).default(3),
  })
  .refine(
    check => [check.http, check.tcp, check.exec].filter(kind => kind !== undefined).length === 1,
    'a check has one of http, tcp and exec',
  )
export type CheckConfig = z.infer<typeof checkSchema>

/** One layer of the host: what runs in its slot, and how it is known to be well. Units: milliseconds after parsing. */
export const layerSchema = z.strictObject({
  driver: z.literal('process'),
  /** The program and its arguments, run inside the slot. */
  command: z.array(z.string().min(1)).min(1),
  env: z.record(z.string(), z.string()).default({}),
  hooks: z
    .strictObject({
      /** Shell command lines, run in the data directory of the layer. Exit 0: yes; 75: busy, ask later; otherwise no. */
      ready: z.string().min(1).optional(),
      drain: z.string().min(1).optional(),
      timeout: duration.default(60_000),
    })
    .prefault({}),
  checks: z.array(checkSchema).max(32).default([]),
  /** Slots besides the current one that stay for going back. */
  keep: z.number().int().min(1).max(8).default(1),
  /** How long the program has after SIGTERM before it gets SIGKILL. */
  stopTimeout: duration.default(10_000),
})
export type LayerConfig = z.infer<typeof layerSchema>
