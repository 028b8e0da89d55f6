// The web page: a fleet looked at in a browser on this host. It serves the built page and passes what the page may read on to
// the local API; it changes nothing. Its greater part is loaded with the first request, because most daemons never get one.
export { DEFAULT_WEB, serveWeb, type Web } from './web.ts'
