// Logs a few lines and dies without saying goodbye, so that only what was written at once is seen.
import { createLog } from '../../daemon/log.ts'
import { FleetError } from '../../protocol/index.ts'

const [level, format] = process.argv.slice(2)
const { log } = await createLog(level!, format as 'json' | 'pretty')
log.debug({ layer: 'app' }, 'a detail')
log.info({ layer: 'app' }, 'fleetd ready')
log.child({ layer: 'web' }).error({ err: new FleetError('no-space', 'the disk is full') }, 'it failed')
process.kill(process.pid, 'SIGKILL')
