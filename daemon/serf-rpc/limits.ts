/** What one client, and all of them together, may cost this daemon. Sizes are bytes, times milliseconds. */
export const SERF_LIMITS = {
  /** Connections at once. */
  clients: 256,
  /** How long a connection may take to greet and, where a token is asked for, to show it. */
  greeting: 5_000,
  /** One header or body before that: the longest is an `auth`. */
  greetingMessage: 2 * 1024,
  /** One header or body afterwards: a payload of 64 KiB and what is around it. */
  message: 128 * 1024,
  /** Nesting of arrays and maps. Nothing of the protocol goes past 2. */
  depth: 4,
  /** What may wait to be taken by a client; it is cut off when more does. */
  queued: 4 * 1024 * 1024,
  /** Event streams of one client. */
  streams: 64,
  /** Queries of one client that are still being answered. */
  queries: 32,
  /**
   * Between a query's last answer and the word that it is over. The `serf` program reads acks and responses from two queues, and stops at the
   * first that it finds both empty and closed: what is in the other one then is lost. Serf's agent never ends a query before its time is up.
   */
  lastWord: 100,
  /** Queries that one client was told of and may still respond to. The oldest is given up for a new one. */
  pending: 1024,
  /** Event types in one `stream` command. */
  filters: 64,
  /** A regular expression in a filter of members. */
  pattern: 512,
  /** Instructions that all expressions of one filter compile to together. */
  program: 500,
  /** Members that are filtered and put into records in one go: about 10 ms at the very worst. */
  batch: 200,
  /** How long a client may take to receive what was sent to it before the daemon stops. */
  farewell: 1_000,
} as const
