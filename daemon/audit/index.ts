// This node's audit log on its disk, the heads that nodes keep of each other's logs, and the reading and examining of any of them.
// What an entry is and how a log is checked is protocol/audit's; which heads are kept is rollout/audit's. Nothing here decides what is noted.
export { type Audit, type Note, openAudit } from './audit.ts'
export { type Auditor, createAuditor, type Examined } from './auditor.ts'
export { lastNoted, refusals } from './memory.ts'
export { type AuditQuestions, createAuditQuestions } from './questions.ts'
export type { Place } from './segments.ts'
export { createWitness, type Witness } from './witness.ts'
