// User events: delivered once at each node, in order, kept for replay, and passed on to whoever lacks them.
// One machine, given events that have been verified; its adapter puts on disk what it says before anybody is told.
// It may import protocol/ and nothing else of ours.
export { BUFFER, type BufferBounds, type Delivered, type Kept, keptOf } from './buffer.ts'
export { decodeEventFrame, encodeEventFrame, isEventFrame } from './frames.ts'
export { createEvents, type EventsMachine } from './machine.ts'
export { compareEvents } from './order.ts'
export { createPace, type Pace } from './pace.ts'
export { restore } from './restore.ts'
export {
  type Effect as EventsEffect,
  type EventsInit,
  type EventsState,
  type Input as EventsInput,
  NO_EVENTS,
  type Remembered,
  type Worth,
} from './types.ts'
