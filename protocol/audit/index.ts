// The audit log of a node as any other, and an auditor with no daemon at all, reads it: entries, the chain that they make, and the heads that
// nodes sign and keep of each other.
export * from './chain.ts'
export * from './entry.ts'
export * from './head.ts'
