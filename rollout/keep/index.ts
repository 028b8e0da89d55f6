export { divergenceOf, type LayerDivergence, type Runner, type Straggler } from './divergence.ts'
export { markOf, nextDue, type SlotMark, slotMarkSchema, taintsOf, tooOldAt, withMark } from './marks.ts'
