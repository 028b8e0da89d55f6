// Writes ever newer values of one name, and says each number once its promise has resolved.
import { openDataDir } from '../../../daemon/state/index.ts'
import { contentOf } from './content.ts'

const [path, from] = process.argv.slice(2)
const dir = await openDataDir(path!)
for (let n = Number(from); ; n++) {
  await dir.ledger.save('web', contentOf(n))
  process.stdout.write(`${n}\n`)
}
