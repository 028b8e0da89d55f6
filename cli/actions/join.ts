import { FleetError } from '../../protocol/errors.ts'
import type { Context } from '../context.ts'
import { short } from '../text.ts'

export async function run(context: Context, targets: readonly string[]): Promise<number> {
  const tokens = targets.filter(target => target.startsWith('fleet1.'))
  if (tokens.length > 0 && targets.length > 1)
    throw new FleetError('bad-input', 'give one token, or addresses, not both')
  const [token] = tokens
  const body = token === undefined ? { addresses: [...targets] } : { token }
  const joined = await context.client.call('POST /v1/join', { body })
  context.show(joined, () =>
    [
      `member of fleet ${short(joined.fleet)}; reached: ${joined.reached.join(', ') || 'nobody yet'}`,
      ...joined.failed.map(({ address, reason }) => `  ${address}: ${reason}; it is tried again`),
    ].join('\n'),
  )
  return joined.reached.length === 0 && joined.failed.length > 0 ? 1 : 0
}
