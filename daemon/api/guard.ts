import type { IncomingMessage } from 'node:http'
import { FleetError } from '../../protocol/index.ts'

const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?$/

/**
 * Keeps web pages out of a port on loopback. A page whose own name was rebound to 127.0.0.1 still sends that name as `Host`; a page
 * of another site that posts or fetches here sends its `Origin`; and for what a page merely embeds, as a script or a picture, browsers
 * send `Sec-Fetch-Site` (W3C Fetch Metadata). Programs send none of them. A link that somebody follows is let through: who made it
 * cannot read the answer. Throws `unauthorized`.
 */
export function assertNotFromAPage(request: IncomingMessage): void {
  const { host = '', origin, 'sec-fetch-site': site, 'sec-fetch-mode': mode } = request.headers
  if (!LOOPBACK.test(host)) {
    throw new FleetError(
      'unauthorized',
      `requests for host ${JSON.stringify(host.slice(0, 80))} are not answered here; use localhost, 127.0.0.1 or [::1]`,
    )
  }
  if (origin !== undefined && origin !== `http://${host}`) {
    throw new FleetError(
      'unauthorized',
      `requests from the web page ${JSON.stringify(origin.slice(0, 80))} are not answered here`,
    )
  }
  const followed = mode === 'navigate' && request.method === 'GET'
  if (site !== undefined && site !== 'same-origin' && site !== 'none' && !followed)
    throw new FleetError('unauthorized', 'requests from the web page of another site are not answered here')
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.test(host)
}
