// This node's place in its fleet, and its judgement of who else belongs to it.
// The one owner of the Authority: policy, revocations and our own certificate are changed nowhere else.
// It knows no socket and no file; what it keeps goes through a store that it is given.
export { createTrust, type Labels, type Membership, type Trust, type TrustStore } from './trust.ts'
