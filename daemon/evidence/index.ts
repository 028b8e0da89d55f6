// What was there before a slot is given up: put together here, kept in files named by their content, and copied to two other nodes.
// It decides nothing about replacement, and keeps nobody from it for long.
export { fitted, LOG_TAIL, withContent } from './collect.ts'
export { createEvidence, type EvidenceKeeper } from './evidence.ts'
