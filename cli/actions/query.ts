import type { Context } from '../context.ts'
import { payloadFields, payloadText } from '../payload.ts'
import { plain } from '../text.ts'

interface Options {
  readonly node?: readonly string[]
  readonly tag?: Readonly<Record<string, string>>
  readonly group?: readonly string[]
  readonly zone?: readonly string[]
  /** False with --no-ack. */
  readonly ack: boolean
  readonly timeout?: number
}

export async function run(
  context: Context,
  name: string,
  payload: string | undefined,
  options: Options,
): Promise<undefined> {
  const body = {
    name,
    payload: Buffer.from(payload ?? '').toString('base64url'),
    nodes: [...(options.node ?? [])],
    tags: { ...options.tag },
    groups: [...(options.group ?? [])],
    zones: [...(options.zone ?? [])],
    ack: options.ack,
    timeoutMs: options.timeout ?? 0,
  }
  const totals = await context.client.stream('POST /v1/queries', { body }, answer => {
    const { type, node, name: by } = answer
    if (context.json) context.emit({ type, node, name: by, ...(type === 'ack' ? {} : payloadFields(answer.payload)) })
    else if (type === 'ack') context.say(plain(`Ack from ${by}`))
    else context.say(`Response from ${plain(by)}: ${payloadText(answer.payload)}`)
  })
  if (context.json) {
    context.emit({ type: 'totals', ...totals })
    return
  }
  if (options.ack) context.say(`Total acks: ${totals.acks}`)
  context.say(`Total responses: ${totals.responses}`)
  return
}
