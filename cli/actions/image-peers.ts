import type { ImagePeers } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { type Column, table } from '../table.ts'
import { size } from '../text.ts'

const COLUMNS: readonly Column<ImagePeers['peers'][number]>[] = [
  { head: 'NAME', cell: peer => peer.name },
  { head: 'RECEIVED', cell: peer => size(peer.bytes), align: 'right' },
  { head: 'SENT', cell: peer => size(peer.sent), align: 'right' },
  { head: 'OFFERS', cell: peer => (peer.offers ? 'yes' : 'no') },
  { head: 'BANNED', cell: peer => (peer.banned ? { text: 'sent bad bytes', tint: 'red' } : '') },
]

export async function run(context: Context, ref: string): Promise<undefined> {
  const answer = await context.client.call('GET /v1/images/:ref/peers', { params: { ref } })
  context.show(answer, () =>
    answer.peers.length === 0 ? 'no peer has this image' : table(COLUMNS, answer.peers, context.paint, context.width),
  )
  return
}
