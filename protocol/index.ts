// What any two nodes must agree on: ids, codec, signed statements, limits and API types.
// Everything else is built on this folder, and it imports nothing of ours.
// It does no I/O: the only thing it takes from Node is cryptography.
export * from './authority.ts'
export * from './codec.ts'
export * from './errors.ts'
export * from './ids.ts'
export * from './keys.ts'
export * from './limits.ts'
export * from './random.ts'
export * from './statement.ts'
export * from './statements/admission.ts'
export type { NodeClass } from './statements/fields.ts'
export * from './statements/member.ts'
export * from './statements/notice.ts'
export * from './statements/policy.ts'
export * from './statements/rollout.ts'
export * from './token.ts'
