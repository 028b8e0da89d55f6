import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import { address, counter, label, nodeId, tags, time } from '../statements/fields.ts'
import { queryName, tagPatterns } from '../statements/query.ts'
import { list, nodeRef } from './fields.ts'
import { memberStatus } from './fleet.ts'

/** Bytes of at most `max` in unpadded base64url, which may be none. The daemon gets the bytes. */
const payloadOf = (max: number) =>
  z
    .string()
    .max(Math.ceil((max * 4) / 3))
    .regex(/^[A-Za-z0-9_-]*$/, 'expected base64url')
    .transform(text => Uint8Array.from(Buffer.from(text, 'base64url')))

/** A question to all that every filter lets through. `timeoutMs` 0: a default that grows with the fleet. */
export const askSchema = z.strictObject({
  name: queryName,
  payload: payloadOf(LIMITS.queryPayload).default(new Uint8Array()),
  /** Names or ids. */
  nodes: z.array(nodeRef).max(LIMITS.queryNodes).default([]),
  /** RE2 expressions over the whole value of a tag. */
  tags: tagPatterns.default({}),
  groups: z.array(label).max(LIMITS.queryLabels).default([]),
  zones: z.array(label).max(LIMITS.queryLabels).default([]),
  ack: z.boolean().default(true),
  timeoutMs: z.number().int().min(0).max(LIMITS.queryTimeout).default(0),
})
export type Ask = z.output<typeof askSchema>

export const queryAnswerSchema = z.object({
  type: z.enum(['ack', 'response']),
  node: nodeId,
  name: label,
  /** In base64url; empty for an ack. */
  payload: z.string(),
})
export type QueryAnswerView = z.infer<typeof queryAnswerSchema>

export const queryTotalsSchema = z.object({ acks: counter, responses: counter })
export type QueryTotals = z.infer<typeof queryTotalsSchema>

export const forceLeaveSchema = z.strictObject({ node: nodeRef, prune: z.boolean().default(false) })

export const logLevel = z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace'])
export type LogLevel = z.infer<typeof logLevel>
export const monitorQuerySchema = z.strictObject({ level: logLevel.default('info') })

/** What somebody who monitors a daemon is told: its log, and what happens. */
export const monitoredSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('log'),
    at: time,
    level: logLevel,
    message: z.string(),
    fields: z.record(z.string(), z.unknown()).readonly(),
  }),
  z.object({
    type: z.literal('members'),
    event: z.enum(['join', 'leave', 'failed', 'update', 'reap']),
    members: list(
      z.object({
        id: nodeId,
        name: label,
        addrs: list(address),
        status: memberStatus,
        group: label,
        zone: label,
        tags,
      }),
    ),
  }),
  z.object({
    type: z.literal('event'),
    cursor: counter,
    author: nodeId,
    seq: counter,
    ltime: counter,
    name: z.string(),
    payload: z.string(),
    coalesce: z.boolean(),
    at: time,
  }),
  z.object({
    type: z.literal('query'),
    id: z.string(),
    ltime: counter,
    asker: nodeId,
    name: z.string(),
    payload: z.string(),
    deadline: time,
  }),
])
export type Monitored = z.infer<typeof monitoredSchema>
