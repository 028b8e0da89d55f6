import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { driverOf, image, never, server } from './support.ts'

// A daemon in small: owns a driver until it is killed. Arguments: directory, configuration, and what to do.
const [directory, config, task] = process.argv.slice(2) as [string, string, 'run' | 'stage']
const driver = driverOf(directory, JSON.parse(config))
await driver.start()
if (task === 'run') {
  await driver.stage({ digest: image('v1') }, server('v1'), never)
  await driver.flip(image('v1'), never)
  console.log(`pid ${driver.state().pid}`)
} else {
  await driver.stage(
    { digest: image('v2') },
    async target => {
      await writeFile(join(target, 'half'), 'of it')
      console.log('staging')
      await new Promise(() => undefined)
    },
    never,
  )
}
setInterval(() => undefined, 1_000)
