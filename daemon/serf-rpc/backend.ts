import type { MemberView } from '../../membership/index.ts'
import type { Millis } from '../../protocol/index.ts'
import type { Happening } from '../happenings.ts'

/** Where a node stands in the coordinates of Vivaldi. Seconds. */
export interface SerfCoordinate {
  readonly vector: readonly number[]
  readonly error: number
  readonly adjustment: number
  readonly height: number
}

export interface SerfQuery {
  readonly name: string
  readonly payload: Uint8Array
  /** Names or ids; empty: no filter. */
  readonly nodes: readonly string[]
  /** Regular expressions over the whole value. */
  readonly tags: Readonly<Record<string, string>>
  readonly ack: boolean
  /** 0: one that grows with the fleet. */
  readonly timeoutMs: number
}

export interface SerfAnswer {
  readonly type: 'ack' | 'response'
  /** The name of the node that it comes from. */
  readonly name: string
  readonly payload: Uint8Array
}

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

export interface LogLine {
  readonly at: Millis
  readonly level: LogLevel | 'fatal'
  readonly message: string
}

/**
 * All that the protocol needs of the daemon. It throws `FleetError`; the message is what the client shows. What listens is told at
 * once and in order, and gives back what ends it.
 */
export interface SerfBackend {
  now(): Millis
  members(): readonly MemberView[]
  /** `HOST:PORT` of members, or invites. Gives how many were reached; throws when none was. */
  join(addresses: readonly string[], signal: AbortSignal): Promise<number>
  /** Says goodbye to the fleet. */
  leave(): Promise<void>
  /** Ends the daemon. What has been sent to clients still reaches them. */
  stop(): void
  forceLeave(node: string, prune: boolean): Promise<void>
  /** What is both set and deleted is set. */
  changeTags(set: Readonly<Record<string, string>>, remove: readonly string[]): Promise<void>
  fire(event: { name: string; payload: Uint8Array; coalesce: boolean }): Promise<void>
  /** Resolves when the query is over. Refuses what it does not take before the turn of the event loop ends. */
  query(query: SerfQuery, on: (answer: SerfAnswer) => void, signal: AbortSignal): Promise<void>
  /** Of a node by name or id; undefined for one that is not known, or has none yet. */
  coordinate(node: string): SerfCoordinate | undefined
  listen(listener: (happening: Happening) => void): () => void
  /** Lines of the daemon's log of this level and above. */
  logs(level: LogLevel, listener: (line: LogLine) => void): () => void
  /** What `serf info` shows, under its headings. */
  stats(): Readonly<Record<string, Readonly<Record<string, string>>>>
}
