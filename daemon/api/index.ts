// The daemon's local API: HTTP and JSON on a socket of its own, on loopback, or for other hosts over TLS and with a token. It knows no part of the daemon but
// `FleetService`, which the composition root implements; a handler checks what came in, asks, and answers.
export { type Access, openAccess } from './access.ts'
export { type Api, type ApiInit, createApi } from './api.ts'
export { assertNotFromAPage } from './guard.ts'
export { listen } from './listen.ts'
export type { Download, FleetService } from './service.ts'
