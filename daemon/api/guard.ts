import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import { FleetError } from '../../protocol/index.ts'

const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/

/** How a port is served: by which scheme, and which other names its host is known by. */
export interface Door {
  readonly scheme: 'http' | 'https'
  /** True for a name, without its port, that a request may have in `Host` beside those of loopback. */
  names(host: string): boolean
}
const ON_LOOPBACK: Door = { scheme: 'http', names: () => false }

/**
 * Keeps web pages out of a port. A page whose own name was rebound to this host still sends that name as `Host`; a page
 * of another site that posts or fetches here sends its `Origin`; and for what a page merely embeds, as a script or a picture, browsers
 * send `Sec-Fetch-Site` (W3C Fetch Metadata). Programs send none of them. A link that somebody follows is let through: who made it
 * cannot read the answer. Throws `unauthorized`.
 */
export function assertNotFromAPage(request: IncomingMessage, { scheme, names }: Door = ON_LOOPBACK): void {
  const { host = '', origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers
  if (!LOOPBACK.test(host) && !names(host.replace(/:\d*$/, ''))) {
    throw new FleetError(
      'unauthorized',
      `requests for host ${JSON.stringify(host.slice(0, 80))} are not answered here; use localhost, 127.0.0.1 or [::1]${scheme === 'https' ? ', an IP address, or a name that the certificate is for' : ''}`,
    )
  }
  if (origin !== undefined && origin !== `${scheme}://${host}`) {
    throw new FleetError(
      'unauthorized',
      `requests from the web page ${JSON.stringify(origin.slice(0, 80))} are not answered here`,
    )
  }
  const followed = mode === 'navigate' && request.method === 'GET'
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !followed)
    throw new FleetError('unauthorized', 'requests from the web page of another site are not answered here')
}

/** What a request for a port that is served over TLS may name: an IP address, which nobody can rebind, or what its certificate is for. */
export const certified = (names: (host: string) => boolean): Door => ({
  scheme: 'https',
  names: host => isIP(host.replace(/^\[|\]$/g, '')) !== 0 || names(host),
})

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host)
}
