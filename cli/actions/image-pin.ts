import type { Context } from '../context.ts'

/** `image pin` and `image unpin`. */
export const pinned =
  (wanted: boolean) =>
  async (context: Context, ref: string): Promise<undefined> => {
    const { client } = context
    const result = wanted
      ? await client.call('POST /v1/images/:ref/pin', { params: { ref } })
      : await client.call('POST /v1/images/:ref/unpin', { params: { ref } })
    context.show(
      result,
      () =>
        `${result.name}:${result.version} ${wanted ? 'stays on this host until it is unpinned' : 'goes when its space is needed'}`,
    )
    return undefined
  }
