import type { Context } from './context.ts'

/** What does a command's work; a number is its exit code where that is not 0. */
export type Action<A extends readonly never[] = readonly never[]> = (
  context: Context,
  ...args: A
) => Promise<number | undefined>

export interface Flag {
  readonly flags: string
  readonly help: string
  /** Given what was gathered before when the flag may be repeated. Throws `InvalidArgumentError`. */
  readonly parse?: (text: string, before?: never) => unknown
  readonly required?: true
}

/** One command as data. Actions that need much code load it when they run and not before: starting fast is a promise. */
export interface Spec {
  /** Name and arguments: `members`, `join <address|token>`. */
  readonly usage: string
  readonly summary: string
  /** What its one argument may be, where that is a fixed list. */
  readonly choices?: readonly string[]
  readonly flags?: readonly Flag[]
  /** --timeout is this command's own business, and comes with its options: it ends nothing by itself. */
  readonly ownTimeout?: true
  /** Shown by --help: what somebody would type, and what comes of it. */
  readonly example: string
  readonly load: () => Promise<Action>
}

export interface Group {
  readonly name: string
  readonly summary: string
  readonly commands: readonly Spec[]
}
