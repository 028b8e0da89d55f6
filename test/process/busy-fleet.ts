import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { EvidenceList, Members, RolloutStatusView } from '../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

/** Six real daemons with something of everything that fleetctl can show: long names, a rollout that stands in its middle, a hotfix, a failed host. */
export interface BusyFleet {
  readonly box: Sandbox
  readonly first: Daemon
  readonly daemons: readonly Daemon[]
  /** The host that holds the one permit, for as long as it drains. */
  readonly draining: string
  /** A host that has a hotfix, and waits for its wave. */
  readonly fixed: string
  readonly failed: string
  /** What was there before the hotfix. */
  readonly evidence: string
  /** Lets the one that drains go on. */
  release(): void
}

const CITIES = ['rotterdam-europoort', 'antwerp-berendrecht', 'hamburg-waltershof', 'gdansk-wisloujscie']
export const GROUP = 'edge-gateways-europe'
const OLDER = 'point-of-sale-frontend:2026.11.27-nightly.1'
export const NEWER = 'point-of-sale-frontend:2026.11.28-nightly.2'
const nameOf = (index: number): string =>
  `gateway-${CITIES[index % CITIES.length]}-${String(index + 1).padStart(2, '0')}`
const COUNT = 6

export async function busyFleet(): Promise<BusyFleet> {
  const box = await sandbox()
  const held = join(box.dir, 'held')
  const daemons = await box.fleet(COUNT, index => {
    const services = join(box.dir, `services-${index}.yaml`)
    writeFileSync(
      services,
      stringify({
        services: {
          shop: { port: 8080, layer: 'app', drain: '10ms' },
          'ntp-of-the-site': { port: 123, protocol: 'udp' },
        },
      }),
    )
    return {
      name: nameOf(index),
      group: GROUP,
      zone: `zone-of-${CITIES[index % CITIES.length]}`,
      flags: ['--config', services, '--tag', `place=${index}`, '--tag', 'rack=r17'],
      layers: {
        app: {
          driver: 'process',
          command: ['sleep', '3600'],
          stopTimeout: '1s',
          // The first one of the second version drains until the test lets it go on.
          hooks: { drain: `while test -e ${held}; do sleep 0.2; done`, timeout: '10m' },
          checks: [{ name: 'well', exec: 'true', interval: '200ms', timeout: '5s' }],
        },
      },
    }
  })
  const first = daemons[0]!
  const members = async () => (await first.json<Members>('members')).members
  await eventually(
    'all to be alive',
    async () => (await members()).filter(each => each.status === 'alive').length === COUNT,
  )

  for (const version of [OLDER, NEWER].map(label => label.split(':')[1]!)) {
    const dir = join(box.dir, version)
    mkdirSync(dir)
    writeFileSync(join(dir, 'version'), version.repeat(20_000))
    const what = ['--name', 'point-of-sale-frontend', '--version', version, '--label', 'team=tills']
    await did(first, 'image build', dir, ...what)
  }
  const start = (image: string, flags: string, reason: string): Promise<void> =>
    did(
      first,
      `rollout start --group ${GROUP} --layer app --min-healthy 100ms --timeout 60s --image ${image} ${flags}`,
      ...['--reason', reason],
    )
  await start(OLDER, '--strategy at-once', 'the first of all, as it was agreed')

  await did(
    first,
    'event deploy',
    'v2 of the shop is on its way to the gateways of the north, and everybody may look at it',
  )
  await did(first, 'event cache-of-prices-is-to-be-emptied')
  const [fixed, failed] = [nameOf(4), nameOf(5)]
  await did(
    first,
    `hotfix start ${fixed} --layer app --ttl 2h`,
    '--reason',
    'a certificate that ran out at night was put in place by hand',
  )
  daemons[5]!.kill('SIGKILL')
  await eventually('it to be failed', async () =>
    (await members()).some(each => each.name === failed && each.status === 'failed'),
  )

  writeFileSync(held, '')
  const season = 'prices of the new season, which have to be there before the shops open on Monday'
  await start(NEWER, '--strategy waves --waves 1,50% --soak 1h --max-unavailable 2 --order-by place --detach', season)
  const status = await eventually('one to drain', async () => {
    const now = await first.json<RolloutStatusView>('rollout', 'status', '--group', GROUP)
    const drains = (await members()).some(({ layers }) => layers.some(({ state }) => state === 'draining'))
    return now.permits.length > 0 && drains && now
  })
  const evidence = await eventually(
    'what was there before the hotfix',
    async () => {
      const { evidence } = await first.json<EvidenceList>('evidence', 'list')
      return evidence[0]?.digest
    },
    { seconds: 90 },
  )
  return {
    ...{ box, first, daemons, fixed, failed, evidence },
    draining: status.permits[0]!.name,
    release: () => rmSync(held, { force: true }),
  }
}

/** Runs a command of fleetctl, of whose words the first are given with blanks between them; it has to do what it was asked. */
async function did(daemon: Daemon, words: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await daemon.ctl(...words.split(' '), ...args)
  if (code !== 0) throw new Error(`fleetctl ${words}: ${code}: ${stderr}`)
}
