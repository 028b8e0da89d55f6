// Questions to many, as two machines without clock or socket: what this node was asked, and what it has asked itself.
// They are given statements that have been verified, and decide what counts: once, in time, and not too often.
// They send nothing, and evaluate no pattern: that is done by who uses them.
export { type Filters, type Labels, passes } from './filters.ts'
export { createInbox, type Inbox, type Verdict as QueryVerdict } from './inbox.ts'
export { createOutbox, type Outbox, type Totals } from './outbox.ts'
export { answerDelay, defaultTimeout } from './timing.ts'
