import {
  formatToken,
  generateKeyPair,
  INVITE,
  type Invite,
  inviteSchema,
  type Millis,
  sign,
} from '../../protocol/index.ts'
import type { Context } from '../context.ts'
import { stamp } from '../text.ts'
import { checked } from './checked.ts'
import { assertOperator, readAuthority } from './fleet.ts'
import { loadKey } from './key-store.ts'

interface Options {
  readonly ttl?: number
  readonly class?: 'cloud' | 'physical' | 'intermittent'
  readonly group?: string
  readonly zone?: string
  readonly tag?: Readonly<Record<string, string>>
}

const TTL = 24 * 60 * 60_000

export async function run(context: Context, options: Options): Promise<undefined> {
  const operator = await loadKey(context)
  const [authority, info] = await Promise.all([readAuthority(context), context.client.call('GET /v1/info')])
  assertOperator(authority, operator.publicKey, context.keyFile)

  const now = Date.now() as Millis
  const key = generateKeyPair()
  const body: Invite = checked(inviteSchema, {
    key: key.publicKey,
    expires: (now + (options.ttl ?? TTL)) as Millis,
    ...(options.class === undefined ? {} : { class: options.class }),
    ...(options.group === undefined ? {} : { group: options.group }),
    ...(options.zone === undefined ? {} : { zone: options.zone }),
    ...(options.tag === undefined ? {} : { tags: options.tag }),
  })
  const invite = sign(INVITE, authority.fleet, now, body, [operator])
  const chain = authority.chain.map(policy => policy.bytes)
  const token = formatToken({ chain, invite, key, bootstrap: info.addresses })

  context.show({ token, expires: body.expires, fleet: authority.fleet }, () => token)
  context.hint(
    `On the new host, before ${stamp(body.expires)}: fleetd --join TOKEN\nWhoever holds the token can join; treat it like a password.`,
  )
  return
}
