import * as z from 'zod'
import type { EventsState, Remembered } from '../../membership/index.ts'
import { decode, EVENT, encode, FleetError, type FleetId, type NodeId, open } from '../../protocol/index.ts'

/** What a batch of the journal holds: the whole state, which each segment begins with, or what changed it. */
export type JournalRecord = { readonly type: 'state'; readonly state: EventsState } | Remembered

const counter = z.number().int().nonnegative()
const node = z.string().transform(text => text as NodeId)
const floors = z.array(z.tuple([node, counter]))
const recordSchema = z.union([
  z.tuple([z.literal('state'), floors, z.array(z.tuple([node, counter, counter])), counter, counter, z.boolean()]),
  z.tuple([z.literal('deliver'), counter, z.boolean(), z.custom<Uint8Array>(value => value instanceof Uint8Array)]),
  z.tuple([z.literal('lost'), node, counter, counter]),
  z.tuple([z.literal('settled'), floors]),
])

export const encodeRecords = (records: readonly JournalRecord[]): Uint8Array => encode(records.map(fieldsOf))

function fieldsOf(record: JournalRecord): readonly unknown[] {
  switch (record.type) {
    case 'state': {
      const { floors, frontier, clock, cursor, fresh } = record.state
      return [record.type, floors, frontier, clock, cursor, fresh]
    }
    case 'deliver':
      return [record.type, record.event.cursor, record.event.told, record.event.statement.bytes]
    case 'lost':
      return [record.type, record.node, record.from, record.to]
    case 'settled':
      return [record.type, record.floors]
    default:
      return record satisfies never
  }
}

/** Throws `corrupt`. */
export function decodeRecords(fleet: FleetId, body: Uint8Array): JournalRecord[] {
  const parsed = z.array(recordSchema).safeParse(decode(body, Number.MAX_SAFE_INTEGER))
  if (!parsed.success) throw new FleetError('corrupt', 'not what a journal of events holds')
  return parsed.data.map(fields => {
    switch (fields[0]) {
      case 'state': {
        const [type, floors, frontier, clock, cursor, fresh] = fields
        return { type, state: { floors, frontier, clock, cursor, fresh } }
      }
      case 'deliver': {
        const [type, cursor, told, bytes] = fields
        return { type, event: { cursor, told, statement: open(EVENT, fleet, bytes) } }
      }
      case 'lost': {
        const [type, author, from, to] = fields
        return { type, node: author, from, to }
      }
      case 'settled':
        return { type: fields[0], floors: fields[1] }
      default:
        return fields satisfies never
    }
  })
}
