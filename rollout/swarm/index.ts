export * from './allotment.ts'
export * from './machine.ts'
