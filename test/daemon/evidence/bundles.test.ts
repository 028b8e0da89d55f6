import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openBundles } from '../../../daemon/evidence/bundles.ts'
import { fitted, withContent } from '../../../daemon/evidence/collect.ts'
import {
  type Digest,
  type Evidence,
  encodeEvidence,
  generateKeyPair,
  LIMITS,
  type Millis,
  type NodeId,
  nodeIdOf,
  openEvidence,
} from '../../../protocol/index.ts'

const log = pino({ level: 'silent' })
const [one, two] = [nodeIdOf(generateKeyPair().publicKey), nodeIdOf(generateKeyPair().publicKey)]
let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-evidence-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const evidence = (node: NodeId, at: number, change: Partial<Evidence> = {}): Evidence => ({
  ...{ format: 'fleetd/evidence/1', node, name: 'gamma', layer: 'app', version: null, slot: 'a', cause: 'failed' },
  ...{ image: 'ab'.repeat(32) as Digest, at: at as Millis, reason: 'http 500', log: '', drift: null },
  ...{ program: { state: 'running', reason: '' }, health: { health: 'failing', reason: '' } },
  ...change,
})

test('bundles are found again after a restart, and one that was changed is given to nobody', async () => {
  const first = await openBundles(dir, log)
  const good = encodeEvidence(evidence(one, 1))
  const bad = encodeEvidence(evidence(one, 2))
  for (const { digest, bytes } of [good, bad]) await first.put(digest, bytes, openEvidence(bytes))
  writeFileSync(join(dir, `${bad.digest}.json`), Buffer.from(bad.bytes).toString().replace('http 500', 'http 200'))
  expect(await first.get(bad.digest)).toBeUndefined()
  const again = await openBundles(dir, log)
  expect(again.list().map(({ digest }) => digest)).toEqual([good.digest])
  expect(Buffer.from((await again.get(good.digest))!)).toEqual(Buffer.from(good.bytes))
  expect(readdirSync(dir)).toHaveLength(2)
})

test('the oldest of a node make room for its newer ones, and not those of another', async () => {
  const bundles = await openBundles(dir, log)
  const put = (node: NodeId, at: number) => {
    const { digest, bytes } = encodeEvidence(evidence(node, at))
    return bundles.put(digest, bytes, openEvidence(bytes))
  }
  await put(two, 0)
  for (let at = 1; at <= 64; at++) expect(await put(one, at)).toEqual([])
  expect((await put(one, 65)).map(gone => gone.evidence.at)).toEqual([1])
  expect(bundles.list().filter(({ evidence: { node } }) => node === two)).toHaveLength(1)
})

test('what is too large for a bundle gives way, and the rest of it is kept', () => {
  const differences = Array.from({ length: 64 }, (_, index) => ({
    ...{ path: `${index}`.repeat(1_000), what: 'content', content: 'x'.repeat(20_000) },
  }))
  const small = fitted(evidence(one, 1, { log: '\u0001'.repeat(60_000), drift: { total: 99, differences } }))
  expect(encodeEvidence(small).bytes.byteLength).toBeLessThanOrEqual(LIMITS.evidence)
  expect(openEvidence(encodeEvidence(small).bytes)).toMatchObject({ reason: 'http 500', drift: { total: 99 } })
  const fine = evidence(one, 1, { log: 'short' })
  expect(fitted(fine)).toBe(fine)
})

test('small files that were changed or added are kept whole, others are named', async () => {
  writeFileSync(join(dir, 'added'), 'x')
  writeFileSync(join(dir, 'large'), 'x'.repeat(100_000))
  const drift = await withContent(
    {
      ...{ files: 3, bytes: 0, total: 4 },
      differences: [
        { path: 'added', what: 'extra' },
        { path: 'gone', what: 'missing' },
        { path: 'large', what: 'content' },
        { path: 'vanished', what: 'content' },
      ],
    },
    dir,
  )
  expect(drift).toEqual({
    total: 4,
    differences: [
      { path: 'added', what: 'extra', content: 'eA==' },
      { path: 'gone', what: 'missing' },
      { path: 'large', what: 'content' },
      { path: 'vanished', what: 'content' },
    ],
  })
})

test.each([
  ['not JSON', Buffer.from('{')],
  ['another format', Buffer.from(JSON.stringify({ ...evidence(one, 1), format: 'x' }))],
  ['too long', Buffer.alloc(LIMITS.evidence + 1, 32)],
])('what is no evidence is not taken: %s', (_, bytes) => {
  expect(() => openEvidence(bytes)).toThrow(/evidence/)
})
