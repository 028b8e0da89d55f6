export { type Objection, objectionTo, overPolicy, type Surroundings } from './objection.ts'
