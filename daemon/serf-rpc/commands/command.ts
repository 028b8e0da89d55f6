import type * as z from 'zod'
import type { Seq } from '../codec.ts'
import type { Client } from '../session.ts'

/** What a command comes to. */
export interface Reply {
  /** Empty: it went well. */
  readonly error?: string
  readonly body?: unknown
  /** Once the reply is on its way. */
  readonly after?: () => void
  /** The connection ends with it. */
  readonly last?: boolean
}

export interface Command {
  /** Undefined: a header alone. */
  readonly body: z.ZodType | undefined
  /** What follows the header of an error: clients that expect a body read one even then. */
  readonly empty: unknown
  run(body: unknown, client: Client, seq: Seq): Reply | Promise<Reply>
}

/** A command with a body. Errors that `run` throws become the reply. */
export function command<B>(
  body: z.ZodType<B>,
  run: (body: B, client: Client, seq: Seq) => Reply | Promise<Reply>,
  empty?: unknown,
): Command {
  return { body, empty, run: (value, client, seq) => run(value as B, client, seq) }
}

/** A command that is a header alone. */
export function bare(run: (client: Client, seq: Seq) => Reply | Promise<Reply>, empty?: unknown): Command {
  return { body: undefined, empty, run: (_, client, seq) => run(client, seq) }
}
