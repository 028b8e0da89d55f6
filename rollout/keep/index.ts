export { markOf, nextDue, type SlotMark, slotMarkSchema, taintsOf, tooOldAt, withMark } from './marks.ts'
