import type { Context } from '../context.ts'
import { plural, size } from '../text.ts'

export async function run(context: Context, options: { all?: true; dryRun?: true }): Promise<undefined> {
  const result = await context.client.call('POST /v1/images/gc', {
    body: { all: options.all === true, dryRun: options.dryRun === true },
  })
  context.show(result, () => {
    const { images, chunks, bytes, dryRun, used, quota, free, minFree } = result
    const lines = images.map(({ name, version }) => `${dryRun ? 'would remove' : 'removed'} ${name}:${version}`)
    return [
      ...lines,
      `${plural(chunks, 'chunk')}, ${size(bytes)} ${dryRun ? 'would come free' : 'came free'}`,
      `the store takes ${size(used)} of ${size(quota)}; the disk has ${size(free)} left and keeps ${size(minFree)}`,
    ].join('\n')
  })
  return
}
