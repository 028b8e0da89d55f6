import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { answerOf } from '../../../daemon/images/describing.ts'
import { createLearning } from '../../../daemon/images/learning.ts'
import { decodeQuestion, encodeDescription, type Question } from '../../../daemon/images/wire.ts'
import type { Network } from '../../../daemon/network/index.ts'
import {
  type ChunkRef,
  type Digest,
  encodeManifest,
  openIndex,
  openManifest,
  seededRandom,
  sha256,
} from '../../../protocol/index.ts'
import type { ImageStore, StoredImage } from '../../../rollout/index.ts'
import { nodeNumber } from '../../membership/support.ts'
import { manifestOf } from '../../support/manifest.ts'
import { quiet } from '../network/support.ts'

// What an image is, from one provider: its index comes in short where most of its chunks are known.

const some = (count: number): ChunkRef[] =>
  Array.from({ length: count }, () => ({ digest: sha256(randomBytes(8)), length: 60_000 }))
const old = some(2_000)

/** `answer` stands for the provider. Gives the index that was learnt, the questions, and the bytes of the answers. */
async function learn(next: readonly ChunkRef[], known: readonly ChunkRef[], answer: typeof answerOf = answerOf) {
  const manifest = encodeManifest(manifestOf(next))
  const questions: Question[] = []
  let bytes = 0
  const network = {
    self: nodeNumber(1),
    async request(_peer, _service, body) {
      const question = decodeQuestion(body)
      questions.push(question)
      const description = encodeDescription({ manifest, endorsement: new Uint8Array(9), ...answer(next, question) })
      bytes += description.byteLength
      return description
    },
  } as Partial<Network> as Network
  const learning = createLearning({
    network,
    store: {
      image: (_: Digest) => undefined,
      images: () => (known.length === 0 ? [] : [{ index: known } as unknown as StoredImage]),
    } as Partial<ImageStore> as ImageStore,
    random: seededRandom(1),
    log: quiet,
    providers: () => [nodeNumber(2)],
    vouched: () => false,
    assertTrusted() {},
    async admit(digest, parts) {
      const opened = openManifest(parts.manifest, digest)
      return { digest, manifest: opened, index: openIndex(parts.index, opened), endorsement: parts.endorsement }
    },
  })
  const learnt = await learning(sha256(manifest), AbortSignal.timeout(10_000))
  expect(learnt.index).toEqual(next)
  return { questions, bytes }
}

const changed = [...old.slice(0, 700), ...some(3), ...old.slice(703, 1_500), ...some(1), ...old.slice(1_500)]

test('of an index of which most is known come six bytes a chunk, and all of what is not', async () => {
  const { questions, bytes } = await learn(changed, old)
  expect(questions.map(({ runs }) => runs)).toEqual([
    [],
    [
      [700, 3],
      [1_500, 1],
    ],
  ])
  expect(bytes).toBeLessThan(2_001 * 6 + 2_000)
})

test('a host that knows no image asks for all of it at once, and so does one to which most of it is new', async () => {
  expect((await learn(changed, [])).questions).toMatchObject([{ short: false }])
  expect((await learn(changed, some(50))).questions).toMatchObject([{ short: true }, { short: false, runs: [] }])
})

test('a provider that does not know the short form is understood', async () => {
  const { questions } = await learn(changed, old, (index, { part }) =>
    answerOf(index, { part, short: false, runs: [] }),
  )
  expect(questions).toHaveLength(1)
})

test('where another chunk goes by the same name, the index comes in full', async () => {
  const twin = { digest: `${changed[701]!.digest.slice(0, 12)}${'0'.repeat(52)}` as Digest, length: 1 }
  const { questions } = await learn(changed, [...old, twin])
  expect(questions.at(-1)).toMatchObject({ short: false, runs: [] })
})

test('a provider that gives too little, or something else, in short is asked for all of it', async () => {
  for (const change of [
    (bytes: Uint8Array) => bytes.subarray(0, bytes.byteLength - 7),
    (bytes: Uint8Array) => randomBytes(bytes.byteLength),
    () => new Uint8Array(),
  ]) {
    const { questions } = await learn(changed, old, (index, question) => {
      const answer = answerOf(index, question)
      return question.short || question.runs.length > 0 ? { ...answer, part: change(answer.part) } : answer
    })
    expect(questions.at(-1)).toMatchObject({ short: false, runs: [] })
  }
})

test('thousands of gaps are asked for in turns', async () => {
  const fresh = some(2_000)
  const { questions } = await learn(
    old.map((ref, at) => (at % 3 === 0 ? fresh[at]! : ref)),
    old,
  )
  expect(questions.length).toBe(1 + Math.ceil(667 / 512))
})

test('an answer is never longer than a part, whatever is asked for', () => {
  const runs = Array.from({ length: 512 }, () => [0, 2 ** 40] as const)
  expect(answerOf(some(200), { part: 0, short: false, runs }).part.byteLength).toBeLessThan(1_000_000)
  expect(answerOf(some(5), { part: 2 ** 50, short: true, runs: [] }).part.byteLength).toBe(0)
})
