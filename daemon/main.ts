import { join } from 'node:path'
import type { Logger } from 'pino'
import { EXIT_CODE, toFleetError } from '../protocol/index.ts'
import { defaultDataDir, loadConfig } from './config/index.ts'
import { type Fleetd, startFleetd } from './fleetd.ts'
import { createLog } from './log.ts'
import { notify } from './notify.ts'
import { createReload } from './reload.ts'
import { openDataDir } from './state/index.ts'

declare const __VERSION__: string | undefined
const VERSION = typeof __VERSION__ === 'undefined' ? '0.0.0-source' : __VERSION__

/** How long a stop may take before the process ends all the same. Milliseconds. */
const STOP_LIMIT = 15_000
/** A signal that comes again within so long is the same one, by way of the launcher. Milliseconds. */
const SAME_SIGNAL = 200

async function main(): Promise<void> {
  const loaded = await loadConfig(process.argv.slice(2), process.env, VERSION)
  if (loaded === undefined) return
  if (loaded.checkOnly) {
    process.stdout.write('the configuration is good\n')
    return
  }
  const { config } = loaded
  const { log, tap, setLevel } = await createLog(config.logLevel, config.logFormat)
  const dataDir = await openDataDir(config.dataDir, log)
  let fleetd: Fleetd | undefined
  let stopping = false
  const stop = ({ leave, restart }: { leave: boolean; restart?: true }): void => {
    // A second signal means now.
    if (stopping) process.exit(1)
    stopping = true
    // The unit goes on when another fleetd is started in the place of this one: systemd would end that too.
    if (restart !== true) notify('STOPPING=1', log)
    log.info(leave ? 'leaving the fleet' : 'stopping')
    setTimeout(() => process.exit(1), STOP_LIMIT).unref()
    if (fleetd === undefined) process.exit(0)
    fleetd.stop({ leave }).then(
      () => process.exit(0),
      error => {
        log.error({ err: error }, 'the stop was not clean')
        process.exit(1)
      },
    )
  }
  // A terminal, and a unit with KillMode=control-group, tell the launcher and us: what the launcher passes on is not a second signal.
  let told = Number.NEGATIVE_INFINITY
  const onSignal = (leave: boolean) => () => {
    const before = told
    told = performance.now()
    if (process.env.FLEET_LAUNCHER === undefined || told - before > SAME_SIGNAL) stop({ leave })
  }
  process.on('SIGINT', onSignal(true))
  process.on('SIGTERM', onSignal(false))
  const reload = createReload({
    running: config,
    load: async () => (await loadConfig(process.argv.slice(2), process.env, VERSION))!.config,
    apply(next) {
      fleetd?.reload(next)
      setLevel(next.logLevel)
    },
    notify,
    log,
  })
  process.on('SIGHUP', () => {
    // Before it is ready there is nothing to tell systemd of, and the files have only just been read.
    if (fleetd === undefined) log.warn('SIGHUP came before the daemon was ready: nothing is reloaded; send it again')
    else void reload()
  })
  process.on('unhandledRejection', error =>
    log.error({ err: error }, 'a failure that nobody took care of; please report it'),
  )
  fleetd = await startFleetd(config, dataDir, VERSION, log, tap, stop)
  log.info({ id: fleetd.network.self, addresses: fleetd.network.addresses(), api: fleetd.api() }, 'fleetd ready')
  notify('READY=1', log)
  sayWhatIsNext(fleetd, log)
}

function sayWhatIsNext(fleetd: Fleetd, log: Logger): void {
  // Under npm, in a checkout, the programs are not on the PATH.
  const program = process.env.npm_lifecycle_event === undefined ? 'fleetctl' : 'npx fleetctl'
  const api = fleetd.api().find(address => address.startsWith('unix:')) ?? fleetd.api()[0]!
  const fingerprint = fleetd.apiFingerprint()
  const secured = api.startsWith('https:')
    ? ` --api-token-file ${fleetd.config.apiTokenFile} --api-fingerprint ${fingerprint}`
    : ''
  const ctl = api === `unix:${join(defaultDataDir(), 'fleetd.sock')}` ? program : `${program} --api ${api}${secured}`
  const { trust, network } = fleetd
  const lines =
    trust.authority() === undefined
      ? [
          'this daemon belongs to no fleet yet',
          `  make one:        ${ctl} init`,
          `  or join one:     ${ctl} join TOKEN     (from "fleetctl invite" on a member)`,
        ]
      : [
          `node ${network.self} of fleet ${trust.demand().fleet.slice(0, 12)}, reached at ${network.addresses().join(' ')}`,
          `  who is here:     ${ctl} members`,
          `  a second host:   ${ctl} invite          then there: fleetd --join TOKEN`,
        ]
  const page = fleetd.web()
  const places = [
    `  API:             ${fleetd.api().join(' ')}`,
    ...(fingerprint === undefined ? [] : [`  its certificate: ${fingerprint}   (fleetctl --api-fingerprint)`]),
    ...(page === undefined ? [] : [`  web page:        http://${page}/`]),
  ]
  for (const line of [...lines, ...places]) {
    if (process.stdout.isTTY) process.stdout.write(`${line}\n`)
    else log.info(line)
  }
}

main().catch(error => {
  const { code, message } = toFleetError(error)
  process.stderr.write(`fleetd: ${message}\n`)
  process.exit(EXIT_CODE[code])
})
