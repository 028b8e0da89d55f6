import { once } from 'node:events'
import { isIP } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import { FleetError } from '../protocol/errors.ts'
import { plainFingerprint } from './fingerprint.ts'

export interface TlsTarget {
  readonly host: string
  readonly port: number
  /** As it was given, for messages. */
  readonly address: string
  /** SHA-256 of the certificate that has to be shown, as `plainFingerprint` gives it. Without it the host's authorities decide. */
  readonly fingerprint: string | undefined
}

/**
 * A connection to a daemon that has shown the right certificate; until then nothing is sent, the token least of all. Throws `unauthorized` when the
 * certificate is another one, or one that nobody vouches for.
 */
export async function connectTls(
  { host, port, address, fingerprint }: TlsTarget,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const socket = connect({
    host,
    port,
    // RFC 6066, 3: a name, and no IP address.
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: 'TLSv1.3',
    // It is judged below, where the sentence can say what was shown and what to do.
    rejectUnauthorized: false,
  })
  const abort = (): void => void socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    await once(socket, 'secureConnect')
    judge(socket, address, fingerprint)
    return socket
  } catch (error) {
    socket.destroy()
    throw notTls(error as NodeJS.ErrnoException, address)
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function judge(socket: TLSSocket, address: string, expected: string | undefined): void {
  const shown = socket.getPeerX509Certificate()?.fingerprint256
  if (shown === undefined) throw new FleetError('unauthorized', `${address} shows no certificate`)
  if (expected === undefined) {
    if (socket.authorized) return
    throw new FleetError(
      'unauthorized',
      `nobody vouches for the certificate of ${address} (${socket.authorizationError}); if "fleetctl info" on its host says the same fingerprint, give --api-fingerprint ${shown}`,
      { detail: { fingerprint: shown } },
    )
  }
  if (plainFingerprint(shown) !== expected)
    throw new FleetError(
      'unauthorized',
      `${address} shows another certificate than the one of --api-fingerprint: somebody may stand between, or it has a new one; its fingerprint is ${shown}, look with "fleetctl info" on its host`,
      { detail: { fingerprint: shown } },
    )
}

function notTls(error: NodeJS.ErrnoException, address: string): Error {
  if (error.code !== 'ERR_SSL_WRONG_VERSION_NUMBER' && error.code !== 'ERR_SSL_PACKET_LENGTH_TOO_LONG') return error
  return new FleetError(
    'unavailable',
    `what answers at ${address} does not speak TLS; name it without https://, or give that daemon --api-token-file`,
    { cause: error },
  )
}
