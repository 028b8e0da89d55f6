import { expect, test } from 'vitest'
import { createVoter, genesis, type Request, type VoterStore } from '../../../rollout/index.ts'
import { NODES, NOW } from './fixtures.ts'

const voters = NODES.slice(0, 3)
const install: Request = { type: 'install', group: 'web', first: genesis('web', voters) }
const prepare = (round: number): Request => ({
  type: 'prepare',
  group: 'web',
  epoch: 1,
  ballot: { round, node: NODES[1]! },
})
const context = {
  self: NODES[0]!,
  plan: () => undefined,
  genesisVoters: () => voters,
  objection: () => undefined,
  recovered: () => undefined,
  now: () => NOW,
}

/** A disk whose writes end when the test says so. */
function disk(): VoterStore & { kept: Map<string, Uint8Array>; writes: { land(): void; fail(error: Error): void }[] } {
  const kept = new Map<string, Uint8Array>()
  const writes: { land(): void; fail(error: Error): void }[] = []
  return {
    kept,
    writes,
    load: async group => kept.get(group),
    groups: async () => [...kept.keys()],
    save: (group, state) =>
      new Promise((done, fail) => {
        writes.push({
          land: () => {
            kept.set(group, state)
            done()
          },
          fail,
        })
      }),
  }
}
const soon = (): Promise<void> => new Promise(done => setImmediate(done))

test('a reply leaves only when the disk has what it speaks of', async () => {
  const store = disk()
  const voter = createVoter(context, store, () => null)
  let replied = false
  const reply = voter.answer(install).then(answer => {
    replied = true
    return answer
  })
  await soon()
  expect(store.writes).toHaveLength(1)
  expect(replied).toBe(false)
  store.writes[0]!.land()
  expect(await reply).toEqual({ type: 'installed' })
})

test('requests of one group are answered one after another, a read after the write before it', async () => {
  const store = disk()
  const voter = createVoter(context, store, () => null)
  const first = voter.answer(install)
  const second = voter.answer(prepare(1))
  const third = voter.answer({ type: 'read', group: 'web', epoch: 1 })
  await soon()
  expect(store.writes).toHaveLength(1)
  store.writes[0]!.land()
  await first
  await soon()
  expect(store.writes).toHaveLength(2)
  store.writes[1]!.land()
  expect(await second).toMatchObject({ type: 'promised' })
  expect(await third).toMatchObject({ type: 'state' })
  expect(store.writes).toHaveLength(2)
})

test('when the disk refuses, nothing is said, then or later, until the daemon is restarted with what the disk has', async () => {
  const store = disk()
  const voter = createVoter(context, store, () => null)
  const first = voter.answer(install)
  await soon()
  store.writes[0]!.land()
  await first
  const second = voter.answer(prepare(1))
  await soon()
  store.writes[1]!.fail(new Error('no space left on device'))
  await expect(second).rejects.toThrow('no space left')
  await expect(voter.answer(prepare(2))).rejects.toThrow('silent until its daemon is restarted')
  await expect(voter.answer({ type: 'read', group: 'web', epoch: 1 })).rejects.toThrow('silent')

  const again = createVoter(context, store, () => null)
  const reply = again.answer(prepare(1))
  await soon()
  store.writes[2]!.land()
  expect(await reply).toMatchObject({ type: 'promised' })
})

test('a state on disk that does not decode is not guessed at', async () => {
  const store = disk()
  store.kept.set('web', new Uint8Array([1, 2, 3]))
  await expect(createVoter(context, store, () => null).answer(prepare(1))).rejects.toThrow(/cannot vote with it/)
})
