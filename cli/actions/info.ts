import type { Context } from '../context.ts'
import { fields } from '../table.ts'
import { stamp } from '../text.ts'

export async function run(context: Context): Promise<undefined> {
  const info = await context.client.call('GET /v1/info')
  context.show(info, () =>
    fields(
      [
        ['id', info.id],
        ['name', info.name],
        ['fleet', info.fleet ?? 'none yet; make one with "fleetctl init" or join one with "fleetctl join TOKEN"'],
        ['class', info.class],
        ['zone', info.zone],
        ['group', info.group],
        [
          'tags',
          Object.entries(info.tags)
            .map(([key, value]) => `${key}=${value}`)
            .join(' '),
        ],
        ['taint', info.taint.join(' ') || 'none'],
        ['services', info.services.map(({ name, port, health }) => `${name}:${port} (${health})`).join(' ')],
        ['addresses', info.addresses.join(' ')],
        ['api', info.api.join(' ')],
        ...(info.apiFingerprint === undefined ? [] : [['fingerprint', info.apiFingerprint] as const]),
        ['data', info.dataDir],
        ['version', info.version],
        ['pid', String(info.pid)],
        ['started', `${stamp(info.startedAt)}, epoch ${info.epoch}`],
      ],
      context.paint,
      context.width,
    ),
  )
  return
}
