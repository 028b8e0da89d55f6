export { keepersOf } from './keepers.ts'
export { createRegister, type Register } from './register.ts'
