// Answers questions of DNS about members and services, over UDP and TCP (--dns).
// What is answered is decided by pure functions over the list of members; server.ts only carries packets.
// It resolves nothing of anybody else's: what is not under `fleet.` is refused.
export { createDns, type Dns } from './server.ts'
