import { randomFillSync } from 'node:crypto'
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ChunkRef, type Digest, encodeIndex, openIndex, sha256 } from '../../../protocol/index.ts'
import { type Daemon, type Sandbox, sandbox } from '../../support/daemons.ts'
import { manifestOf } from '../../support/manifest.ts'
import { fetchImage, verify } from './support.ts'

// What large images take of a host that has other things to do.

const GIB = 2 ** 30
/** The most that a daemon may have resident while it serves or receives. Bytes. */
const RESIDENT = 160_000_000
/** What an index of 4 GiB may take to open, of the processor: others may have it meanwhile. Milliseconds. */
const OPENING = 200

describe('an image of 2 GiB', () => {
  let box: Sandbox
  let sender: Daemon
  let receiver: Daemon
  beforeAll(async () => {
    box = await sandbox()
    ;[sender, receiver] = (await box.fleet(2)) as [Daemon, Daemon]
  })
  afterAll(() => box?.close())

  test('goes from one daemon to another, and neither has more resident than a small host can spare', async () => {
    const file = join(box.dir, 'large.bin')
    writeFileSync(file, '')
    const piece = Buffer.alloc(16 * 2 ** 20)
    for (let size = 0; size < 2 * GIB; size += piece.byteLength) appendFileSync(file, randomFillSync(piece))
    const what = ['--name', 'large', '--version', '1', '--kind', 'file']
    const { digest } = await sender.json<{ digest: string }>('--timeout', '300s', 'image', 'build', file, ...what)
    rmSync(file)
    for (const daemon of [sender, receiver]) forgetPeak(daemon)
    expect(await fetchImage(receiver, digest)).toMatchObject({ code: 0 })
    const [sent, received] = [peakOf(sender), peakOf(receiver)]
    console.log(`resident at most, of 2 GiB: ${sent / 1e6} MB at the sender, ${received / 1e6} MB at the receiver`)
    expect(await verify(receiver, digest)).toBe(0)
    expect(sent).toBeLessThanOrEqual(RESIDENT)
    expect(received).toBeLessThanOrEqual(RESIDENT)
  }, 600_000)
})

test('the index of 4 GiB opens before anybody notices', () => {
  const index = Array.from(
    { length: (4 * GIB) / 77_000 },
    (_, at): ChunkRef => ({ digest: sha256(Buffer.from(String(at))) as Digest, length: 77_000 }),
  )
  const [bytes, manifest] = [encodeIndex(index), manifestOf(index)]
  const start = process.cpuUsage()
  expect(openIndex(bytes, manifest)).toHaveLength(index.length)
  const { user, system } = process.cpuUsage(start)
  const took = (user + system) / 1_000
  console.log(`an index of ${index.length} chunks opens in ${took.toFixed(0)} ms`)
  expect(took).toBeLessThanOrEqual(OPENING)
})

/** Has the kernel measure the peak from here on: proc(5), clear_refs. */
function forgetPeak({ process: { pid } }: Daemon): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

function peakOf({ process: { pid } }: Daemon): number {
  const [, kib] = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))!
  return Number(kib) * 1024
}
