// Event handlers: the operator's scripts, run for what happens to members, for user events and for queries.
// A few at a time, each for so long, and nobody who delivers an event waits for one; user events are read from a durable cursor.
// It knows Happenings and the log of user events, and nothing of how either comes about.
export type { EventLog } from './handler.ts'
export { createHandlers, type Handlers, type HandlersConfig } from './handlers.ts'
export type { Self } from './script-input.ts'
