// Opens a data directory, says what it got, and keeps it until it is killed or its input ends.
import { openDataDir } from '../../../daemon/state/index.ts'

const [path] = process.argv.slice(2)
try {
  const dir = await openDataDir(path!)
  process.stdout.write(`${JSON.stringify({ pid: process.pid, epoch: dir.epoch, node: dir.key.publicKey })}\n`)
  process.stdin.once('end', () => void dir.close()).resume()
} catch (error) {
  process.stdout.write(`${JSON.stringify({ error: (error as Error).message })}\n`)
  process.exitCode = 1
}
