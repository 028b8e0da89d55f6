import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Logger } from 'pino'
import { type Bucket, createBucket } from '../../membership/index.ts'
import { FleetError } from '../../protocol/index.ts'
import { askerOf } from '../asker.ts'
import type { Access } from './access.ts'

/** Wrong tokens of one asker: so many at once, and one more every eight seconds. */
const WRONG = { perSecond: 1 / 8, burst: 10 }
/** Askers that are told apart. Beyond that the one whose last wrong token is the longest ago is forgotten. */
const MOST_ASKERS = 1_024

/**
 * Lets through who shows the token (RFC 6750). Throws `unauthenticated` where it is missing or wrong, and `too-many` for who has shown too many wrong
 * ones: such an asker is not told whether the next one is right, or the limit would be none.
 */
export function createTokenCheck(
  { token, now }: Omit<Access, 'identity'>,
  log: Logger,
): (request: IncomingMessage) => void {
  const expected = hash(token)
  const wrong = new Map<string, Bucket>()

  const noteWrong = (asker: string, bucket: Bucket): void => {
    bucket.take(now(), 1)
    if (bucket.readyAt(now(), 1) > now())
      log.warn({ asker }, `wrong tokens for the API came from ${asker}; it is not answered for a while`)
    // A Map keeps the order in which its keys came: what is put in anew is the youngest, so the first is the one to forget.
    wrong.delete(asker)
    wrong.set(asker, bucket)
    if (wrong.size > MOST_ASKERS) wrong.delete(wrong.keys().next().value!)
  }

  return request => {
    const asker = askerOf(request.socket.remoteAddress ?? '')
    const bucket = wrong.get(asker) ?? createBucket(WRONG.perSecond, WRONG.burst)
    const wait = bucket.readyAt(now(), 1) - now()
    if (wait > 0) {
      const seconds = Math.ceil(wait / 1_000)
      throw new FleetError('too-many', `too many wrong tokens came from ${asker}; try again in ${seconds} s`, {
        detail: { retryAfter: seconds },
      })
    }
    const [, shown] = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '') ?? []
    if (shown === undefined)
      throw new FleetError(
        'unauthenticated',
        'this address asks for a token: send it as "Authorization: Bearer TOKEN"; fleetctl takes it from --api-token-file FILE',
      )
    // Of their hashes, which are of one length: the time says nothing about the token.
    if (timingSafeEqual(hash(shown), expected)) return
    noteWrong(asker, bucket)
    throw new FleetError(
      'unauthenticated',
      'the token is wrong; show the one in the file that the daemon was given with --api-token-file',
    )
  }
}

const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
