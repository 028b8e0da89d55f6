import type { Context } from '../context.ts'
import { plain } from '../text.ts'

interface Options {
  readonly set?: Readonly<Record<string, string>>
  readonly delete?: readonly string[]
}

export async function run(context: Context, options: Options): Promise<undefined> {
  const { client } = context
  const { tags } =
    options.set === undefined && options.delete === undefined
      ? await client.call('GET /v1/info')
      : await client.call('POST /v1/tags', { body: { set: { ...options.set }, delete: [...(options.delete ?? [])] } })
  context.show(
    { tags },
    () =>
      Object.entries(tags)
        .map(([key, value]) => plain(`${key}=${value}`))
        .join('\n') || 'no tags',
  )
  return
}
