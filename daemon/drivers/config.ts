import ms from 'ms'
import * as z from 'zod'
import { MAX_SLOTS } from './slots.ts'

const MIN = 10
const MAX = ms('24h')

/** A length of time in text, `500ms` or `2m`, as milliseconds: 10 ms to 24 h. */
export const duration = z.string().transform((text, context) => {
  const value = /^\d+(\.\d+)?(ms|s|m|h|d)$/.test(text) ? ms(text as ms.StringValue) : undefined
  if (value === undefined || value < MIN || value > MAX) {
    context.addIssue({
      code: 'custom',
      message: `expected a length of time from 10ms to 24h, such as 500ms, 10s or 2m, found ${JSON.stringify(text)}`,
    })
    return z.NEVER
  }
  return value
})

const noNul = (text: string): boolean => !text.includes('\0')
/** Like `duration`, up to two years. */
const longDuration = (least: number) =>
  z.string().transform((text, context) => {
    const value = /^\d+(\.\d+)?(ms|s|m|h|d|w)$/.test(text) ? ms(text as ms.StringValue) : undefined
    if (value === undefined || value < least || value > ms('730d')) {
      context.addIssue({
        code: 'custom',
        message: `expected a length of time from ${ms(least)} to 730d, such as 30m, 12h or 30d, found ${JSON.stringify(text)}`,
      })
      return z.NEVER
    }
    return value
  })
const relativePath = z
  .string()
  .min(1)
  .max(1024)
  .refine(
    path => !path.includes('\0') && path.split('/').every(part => part !== '' && part !== '.' && part !== '..'),
    'expected a path within the slot, such as var/cache',
  )
const commandLine = z.string().min(1).refine(noNul, 'expected text without NUL characters')
const threshold = z.number().int().min(1).max(100)

function isHostAndPort(text: string): boolean {
  const port = /^(?:\[[^\]]+\]|[^:]+):(\d{1,5})$/.exec(text)?.[1]
  return port !== undefined && Number(port) >= 1 && Number(port) <= 65_535
}

const checkSchema = z
  .strictObject({
    name: z.string().min(1).max(64),
    /** A URL: passes on a 2xx or 3xx answer. */
    http: z.url({ protocol: /^https?$/ }).optional(),
    /** HOST:PORT, an IPv6 host in brackets: passes when a connection is accepted. */
    tcp: z.string().refine(isHostAndPort, 'expected HOST:PORT').optional(),
    /** A shell command in the slot: passes on exit 0. */
    exec: commandLine.optional(),
    /** From the end of one look to the beginning of the next. Shorter notices sooner, and costs the program more. */
    interval: duration.default(1_000),
    timeout: duration.default(1_000),
    /** This many failures in a row make the layer failing. */
    failures: threshold.default(3),
    /** This many successes in a row make it count as passing, at first and after it was failing. */
    successes: threshold.default(1),
  })
  .refine(
    check => [check.http, check.tcp, check.exec].filter(kind => kind !== undefined).length === 1,
    'a check has one of http, tcp and exec',
  )
export type CheckConfig = z.infer<typeof checkSchema>
export const checksSchema = z
  .array(checkSchema)
  .max(32)
  .refine(checks => new Set(checks.map(({ name }) => name)).size === checks.length, 'two checks have the same name')
  .default([])

/** One layer of the host: what runs in its slot, and how it is known to be well. Times are milliseconds after parsing. */
export const layerSchema = z.strictObject({
  driver: z.literal('process'),
  /** The program and its arguments, run inside the slot. */
  command: z.array(z.string().refine(noNul, 'expected text without NUL characters')).min(1),
  /** Added to the daemon's own environment. */
  env: z
    .record(
      z.string().regex(/^[^=\0]+$/, 'expected the name of a variable'),
      z.string().refine(noNul, 'expected text without NUL characters'),
    )
    .default({}),
  hooks: z
    .strictObject({
      /** Shell command lines, run inside the current slot. Exit 0: yes; 75: busy, ask later; otherwise no. */
      ready: commandLine.optional(),
      drain: commandLine.optional(),
      /** How long each may take. */
      timeout: duration.default(60_000),
    })
    .prefault({}),
  checks: checksSchema,
  /** Slots besides the current one that stay for going back. */
  keep: z
    .number()
    .int()
    .min(1)
    .max(MAX_SLOTS - 1)
    .default(1),
  /** How the slot is compared with its image, and how old it may become. */
  drift: z
    .strictObject({
      /** From the end of one comparison to the beginning of the next. Each reads the slot and the image once, at 8 MiB a second. */
      every: longDuration(1_000).default(3_600_000),
      /** Paths within the slot that the program may write to, with all below them. */
      ignore: z.array(relativePath).max(64).default([]),
    })
    .prefault({}),
  /** After so long a slot is replaced by its image afresh. Up to a tenth less, by node and slot, so that not all are due at once. */
  maxAge: longDuration(1_000).optional(),
  /** How long the program has after SIGTERM before it gets SIGKILL. */
  stopTimeout: duration.default(10_000),
})
export type LayerConfig = z.infer<typeof layerSchema>
