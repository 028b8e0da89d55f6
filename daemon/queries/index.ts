// Queries on the network: asks many members at once and collects what they answer, and answers what others ask.
// Every statement is verified here, at the border; what counts is decided by the machines in membership/queries.
export { createQueries, type OutgoingQuery, type Queries, type QueryAnswer } from './queries.ts'
