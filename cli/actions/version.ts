import type { Context } from '../context.ts'
import { VERSION } from '../version.ts'

export async function run(context: Context): Promise<undefined> {
  try {
    const fleetd = await context.client.call('GET /v1/version')
    context.show({ fleetctl: VERSION, fleetd: fleetd.version, api: fleetd.api, node: fleetd.node }, () =>
      [`fleetctl ${VERSION}`, `fleetd   ${fleetd.version} (API v${fleetd.api}, Node ${fleetd.node})`].join('\n'),
    )
    return
  } catch (error) {
    // Our own version is known whether or not a daemon answers.
    context.show({ fleetctl: VERSION, fleetd: null }, () => `fleetctl ${VERSION}`)
    throw error
  }
}
