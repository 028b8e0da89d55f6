import type { Context } from '../context.ts'

export async function run(context: Context): Promise<undefined> {
  await context.client.call('POST /v1/leave')
  context.show({ left: true }, () => 'this node has left the fleet; its daemon stops')
  return
}
