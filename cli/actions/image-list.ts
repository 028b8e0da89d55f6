import type { ImageView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'
import { short, size } from '../text.ts'

const COLUMNS: readonly Column<ImageView>[] = [
  { head: 'IMAGE', cell: image => `${image.name}:${image.version}` },
  { head: 'DIGEST', cell: image => short(image.digest) },
  { head: 'KIND', cell: image => image.kind, spare: true },
  { head: 'SIZE', cell: image => size(image.size), align: 'right' },
  { head: 'CHUNKS', cell: image => String(image.chunks), align: 'right', spare: true },
  {
    head: 'HERE',
    cell: image =>
      image.held >= image.chunks
        ? { text: 'whole', tint: 'green' }
        : { text: `${Math.floor((100 * image.held) / image.chunks)}%`, tint: 'yellow' },
  },
  { head: 'KEPT', cell: image => image.kept.join(' ') },
  {
    head: 'SIGNED',
    cell: image => (image.endorsed ? { text: 'yes', tint: 'green' } : { text: 'no', tint: 'red' }),
  },
]

export async function run(context: Context): Promise<undefined> {
  const answer = await context.client.call('GET /v1/images')
  const sorted = [...answer.images].sort((a, b) => (`${a.name}:${a.version}` < `${b.name}:${b.version}` ? -1 : 1))
  context.show(answer, () =>
    sorted.length === 0
      ? 'no images yet; make one with: fleetctl image build DIR --name NAME --version VERSION'
      : table(COLUMNS, sorted, context.paint, context.width),
  )
  return
}
