// Looks after what this host runs: compares slots with their images, marks what was changed or has become too old, and carries out what operators
// say of it. A mark replaces nothing: the replacement machine does, under a permit.
export { createKeeping, type Keeping, type KeptSlot } from './keeping.ts'
export { createKeepOrders, type KeepOrders } from './orders.ts'
export { createKeepQuestions, type KeepQuestions } from './questions.ts'
