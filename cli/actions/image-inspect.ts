import type { Context } from '../context.ts'
import { fields } from '../table.ts'
import { size } from '../text.ts'

export async function run(context: Context, ref: string): Promise<undefined> {
  const image = await context.client.call('GET /v1/images/:ref', { params: { ref } })
  const { manifest } = image
  context.show(image, () =>
    fields(
      [
        ['image', `${image.name}:${image.version}`],
        ['digest', image.digest],
        ['kind', image.kind],
        ['size', `${size(image.size)} in ${image.chunks} chunks, ${image.held} of them here`],
        ['signed by', image.endorsers.join(' ') || 'nobody'],
        ['trusted', image.endorsed ? 'yes' : 'no: no publisher of the policy has signed it'],
        ['labels', pairs(manifest.labels)],
        ...Object.entries(manifest.provenance).map(
          ([name, value]) => [name, typeof value === 'string' ? value : pairs(value ?? {})] as const,
        ),
        ['requires', pairs(manifest.requires)],
        ['barrier', manifest.barrier ? 'yes: may not be skipped' : 'no'],
        ['reversible', manifest.reversible ? 'yes' : 'no'],
      ],
      context.paint,
      context.width,
    ),
  )
  return
}

const pairs = (record: Readonly<Record<string, string>>): string =>
  Object.entries(record)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ')
