import type { Context } from '../context.ts'
import { plain } from '../text.ts'

export async function run(context: Context, from: string, to: string | undefined): Promise<undefined> {
  const rtt = await context.client.call('GET /v1/rtt', { query: { from, to } })
  context.show(
    rtt,
    () =>
      `${plain(rtt.from.name)} <-> ${plain(rtt.to.name)}: ${rtt.rttMs.toFixed(1)} ms (${rtt.measured ? 'measured' : 'estimated'})`,
  )
}
