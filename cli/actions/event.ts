import { FleetError } from '../../protocol/errors.ts'
import { LIMITS } from '../../protocol/limits.ts'
import type { Context } from '../context.ts'

interface Options {
  readonly coalesce?: true
}

export async function run(
  context: Context,
  name: string,
  payload: string | undefined,
  options: Options,
): Promise<undefined> {
  const bytes = payload === '-' ? await readAll(context.terminal.stdin) : Buffer.from(payload ?? '')
  if (bytes.byteLength > LIMITS.eventPayload) throw tooLarge()
  const fired = await context.client.call('POST /v1/events', {
    body: { name, payload: bytes.toString('base64url'), coalesce: options.coalesce === true },
  })
  context.show(
    fired,
    () => `event ${name} is on its way: the ${ordinal(fired.seq)} of this node, cursor ${fired.cursor}`,
  )
  return
}

async function readAll(stdin: NodeJS.ReadStream): Promise<Buffer> {
  const parts: Buffer[] = []
  let size = 0
  for await (const part of stdin as AsyncIterable<Buffer>) {
    parts.push(part)
    size += part.byteLength
    if (size > LIMITS.eventPayload) throw tooLarge()
  }
  return Buffer.concat(parts)
}

const tooLarge = (): FleetError =>
  new FleetError(
    'too-large',
    `the payload of an event has at most ${LIMITS.eventPayload / 1024} KiB; send an image, or the place to find it`,
  )

function ordinal(count: number): string {
  const [tens, ones] = [count % 100, count % 10]
  const suffix = tens >= 11 && tens <= 13 ? 'th' : ones === 1 ? 'st' : ones === 2 ? 'nd' : ones === 3 ? 'rd' : 'th'
  return `${count}${suffix}`
}
