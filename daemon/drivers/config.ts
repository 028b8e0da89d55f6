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
      message: `expected a length of time from 10ms to 24h, such as 500ms, 10s or 2m`,
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
        message: `expected a length of time from ${ms(least)} to 730d, such as 30m, 12h or 30d`,
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

const text = z.string().refine(noNul, 'expected text without NUL characters')

/** What every driver has. Times are milliseconds after parsing. */
const common = {
  /** Added to the daemon's own environment, for all that is run. */
  env: z.record(z.string().regex(/^[^=\0]+$/, 'expected the name of a variable'), text).default({}),
  hooks: z
    .strictObject({
      /** Shell command lines, run inside the current slot. Exit 0: yes; 75: busy, ask later; otherwise no. */
      ready: commandLine.optional(),
      drain: commandLine.optional(),
      /** Puts back in service what was drained and does not go down after all; without it what runs is started afresh, where that is fleetd's to do. */
      undrain: commandLine.optional(),
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
}

/** fleetd runs the program in the slot and watches over it. */
const processSchema = z.strictObject({
  driver: z.literal('process'),
  /** The program and its arguments, run inside the slot. */
  command: z.array(text).min(1),
  ...common,
  /** How long the program has after SIGTERM before it gets SIGKILL. */
  stopTimeout: duration.default(10_000),
})
export type ProcessConfig = z.infer<typeof processSchema>

/** The layer is fleetd itself, started by fleetd-launcher. */
const agentSchema = z.strictObject({
  driver: z.literal('agent'),
  /** fleetd within the slot. */
  program: relativePath.default('fleetd.js'),
  ...common,
  /**
   * How long a new fleetd has to prove itself before the launcher goes back, on top of the plan's `deadline`, within which it goes back by itself if it can.
   * Longer only delays the return of a host whose new fleetd hangs.
   */
  patience: duration.default(60_000),
})
export type AgentConfig = z.infer<typeof agentSchema>

/** A shell command line of the operator's, alone or with how long it may take. */
const stepOf = (timeout: number) =>
  z
    .union([commandLine, z.strictObject({ run: commandLine, timeout: duration.default(timeout) })])
    .transform(given => (typeof given === 'string' ? { run: given, timeout } : given))

export type StepConfig = z.infer<ReturnType<typeof stepOf>>

/** The operator's commands bring the host to an image. Exit 0: done; 75: busy, ask later; otherwise it failed. */
const execSchema = z.strictObject({
  driver: z.literal('exec'),
  /** Run in the slot once the image is unpacked there, while the host is still in service; may take as long as it takes. */
  prepare: stepOf(3_600_000).optional(),
  /** Run in the slot whose image is to be current from now on, under a permit and drained. May be run again. */
  switch: stepOf(300_000),
  /** The same, on the way back to the image before; without it `switch` goes back too. */
  undo: stepOf(300_000).optional(),
  /** A check, run every second in the current slot. */
  health: stepOf(5_000).optional(),
  ...common,
})
export type ExecConfig = z.infer<typeof execSchema>

/** systemd runs the program in the slot, by a unit of the operator's that names the link to it. */
const serviceSchema = z.strictObject({
  driver: z.literal('service'),
  unit: z.string().regex(/^[A-Za-z0-9:_.\\@-]{1,255}$/, 'expected the name of a unit, such as shop.service'),
  /** Of which manager the unit is. */
  scope: z.enum(['system', 'user']).default('system'),
  /** Leads to the current slot. By default `current` in the layer's directory, DATA_DIR/layers/NAME. */
  link: text.refine(path => path.startsWith('/') && !path.endsWith('/'), 'expected an absolute path').optional(),
  /** How long systemd may take to start or stop it. */
  timeout: duration.default(90_000),
  ...common,
})
export type ServiceConfig = z.infer<typeof serviceSchema>

const DRIVERS = ['process', 'service', 'exec', 'agent']

/** One layer of the host: what runs in its slot, and how it is known to be well. */
export const layerSchema = z.discriminatedUnion('driver', [processSchema, serviceSchema, execSchema, agentSchema], {
  error: issue => (issue.code === 'invalid_union' ? `expected one of ${DRIVERS.join(', ')}` : undefined),
})
export type LayerConfig = z.infer<typeof layerSchema>
/** What the drivers have in common. */
export type CommonConfig = Pick<LayerConfig, keyof typeof common>
