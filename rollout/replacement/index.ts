export { ACT_WITHIN, createReplacement, type Replacement, type ReplacementInit } from './machine.ts'
export { type Move, next, type Wanted } from './target.ts'
export type { Effect as ReplacementEffect, Input as ReplacementInput, Intent, Mark } from './types.ts'
