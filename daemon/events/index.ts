// User events on the network and the disk: the adapter of membership/events.
// What was delivered is in the journal before anybody is told, so a restart neither repeats nor forgets an event.
// It decides nothing about order; that is the machine's.
export { createEvents, type Events, type NewEvent } from './events.ts'
