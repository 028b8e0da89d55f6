export * from './allotment.ts'
export * from './machine.ts'
export * from './pace.ts'
export * from './resemblance.ts'
