import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openSegments, type Place, SEGMENT, type Segments } from '../../../daemon/audit/segments.ts'
import {
  createAuditCheck,
  generateKeyPair,
  type Millis,
  millis,
  nextEntry,
  nodeIdOf,
  readLine,
} from '../../../protocol/index.ts'

const node = nodeIdOf(generateKeyPair().publicKey)
let dir: string
let folder: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-audit-'))
  folder = join(dir, 'audit')
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** One append of so many entries, which all go into one segment. */
async function write(log: Segments, count: number, text = 'x', at = 1): Promise<void> {
  const lines: string[] = []
  let after = log.tail()
  for (let index = 0; index < count; index++) {
    const next = nextEntry(after, at as Millis, { kind: 'taint', subject: '', by: '', text, detail: {} })
    lines.push(next.line)
    after = next.tail
  }
  await log.append(lines, after)
}
async function lines(log: Segments, from: Place = { entry: 1, line: 0 }): Promise<string[]> {
  const found: string[] = []
  for await (const { line } of log.read(from)) found.push(line)
  return found
}
const examine = (found: readonly string[]) => {
  const check = createAuditCheck(node, [])
  for (const line of found) check.take(line)
  return check.end()
}
const only = (): string => join(folder, readdirSync(folder)[0]!)

describe('the files of an audit log', () => {
  it('give back what was appended, over restarts', async () => {
    const first = await openSegments(folder, node)
    await write(first, 3)
    await first.close()
    const second = await openSegments(folder, node)
    expect(second.found).toEqual({ torn: undefined, damaged: undefined })
    await write(second, 2)
    expect(examine(await lines(second))).toMatchObject({ first: 1, last: 5, entries: 5, problems: [] })
    await second.close()
  })

  it('go on behind the last whole entry wherever a crash cut them, and give what was torn', async () => {
    const log = await openSegments(folder, node)
    await write(log, 3)
    await log.close()
    const whole = readFileSync(only())
    const second = whole.lastIndexOf(10, whole.byteLength - 2) + 1
    for (let cut = second; cut < whole.byteLength; cut += 7) {
      writeFileSync(only(), whole.subarray(0, cut))
      const again = await openSegments(folder, node)
      expect(again.found.torn?.byteLength).toBe(cut === second ? undefined : cut - second)
      await write(again, 2)
      expect(examine(await lines(again))).toMatchObject({ last: 4, entries: 4, problems: [] })
      await again.close()
    }
  })

  it('leave a damaged entry where it is, and go on behind it', async () => {
    const log = await openSegments(folder, node)
    await write(log, 3)
    await log.close()
    const content = readFileSync(only())
    content[content.byteLength - 5]! ^= 1
    writeFileSync(only(), content)
    const again = await openSegments(folder, node)
    expect(again.found).toEqual({ torn: undefined, damaged: 3 })
    await write(again, 1)
    expect(examine(await lines(again))).toMatchObject({ last: 4, entries: 3, problems: [{ entry: 3 }] })
    await again.close()
  })

  it('begin a new segment when one is full, and let the old ones go by age or by size', async () => {
    const log = await openSegments(folder, node)
    const full = 'y'.repeat(1_000)
    const each = Math.ceil(SEGMENT / 1_000)
    await write(log, each, full, 1_000)
    await write(log, each, full, 2_000)
    await write(log, each, full, 3_000)
    expect(readdirSync(folder)).toHaveLength(3)
    expect(await log.old(millis(1_500), Number.MAX_SAFE_INTEGER)).toBeUndefined()
    const old = await log.old(millis(2_500), Number.MAX_SAFE_INTEGER)
    expect(old?.from).toBe(1)
    const before = await lines(log)
    expect(old?.last.hash).toBe(before[old!.last.seq - 1]!.slice(0, 64))
    await old?.remove()
    const left = await lines(log)
    expect(readLine(left[0]!).entry?.seq).toBe(old!.last.seq + 1)
    const bySize = await log.old(millis(0), SEGMENT)
    await bySize?.remove()
    expect(readdirSync(folder)).toHaveLength(1)
    await log.close()
    const again = await openSegments(folder, node)
    expect(again.tail().seq).toBe(3 * each)
    await again.close()
  })

  it('are read from any place, whatever is damaged, each line once', async () => {
    const log = await openSegments(folder, node)
    await write(log, 6)
    await log.close()
    const text = readFileSync(only(), 'utf8').split('\n')
    writeFileSync(only(), [...text.slice(0, 2), 'rubbish', ...text.slice(2)].join('\n'))
    const again = await openSegments(folder, node)
    const all = await lines(again)
    const pieces: string[] = []
    for (let place: Place | undefined = { entry: 1, line: 0 }; place !== undefined; ) {
      let next: Place | undefined
      for await (const { line, next: behind } of again.read(place)) {
        pieces.push(line)
        next = behind
        break
      }
      place = next
    }
    expect(pieces).toEqual(all)
    expect((await lines(again, { entry: 5, line: 0 })).map(line => readLine(line).entry?.seq)).toEqual([5, 6])
    await again.close()
  })

  it('keep nothing of an append that the disk refused half', async () => {
    const log = await openSegments(folder, node)
    await write(log, 1)
    appendFileSync(only(), 'half an ent')
    await write(log, 1)
    await log.close()
    truncateSync(only(), readFileSync(only()).lastIndexOf(10) + 1)
    const again = await openSegments(folder, node)
    expect(examine(await lines(again))).toMatchObject({ last: 2, problems: [] })
    await again.close()
  })
})
