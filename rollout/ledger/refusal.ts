import type { LedgerValue, Refusal } from './value.ts'

export const isRefusal = (result: LedgerValue | Refusal): result is Refusal => 'refused' in result

export const refuse = (refused: Refusal['refused'], reason: string): Refusal => ({ refused, reason })
