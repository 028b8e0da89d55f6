import { pino } from 'pino'
import { afterEach, expect, test } from 'vitest'
import type { Driver } from '../../../daemon/drivers/index.ts'
import { createLayer, createTurns, type Layer } from '../../../daemon/rollout/index.ts'
import { type Digest, type Millis, seededRandom } from '../../../protocol/index.ts'
import { type Action, apply, genesis, type Intent, isRefusal, type LedgerValue } from '../../../rollout/index.ts'
import { image, NODES, NOW, plan } from '../../rollout/ledger/fixtures.ts'
import { eventually } from '../../support/wait.ts'

// Two layers of one host and the register that both ask: the host has one permit, whichever of them it was granted to.

const [node] = NODES as [(typeof NODES)[number]]
const update = plan({ previous: image('v1') })
const act = (value: LedgerValue, action: Action): LedgerValue => {
  const result = apply(value, action, update.body)
  if (isRefusal(result)) throw new Error(result.reason)
  return result
}
const layers: Layer[] = []
afterEach(() => Promise.all(layers.splice(0).map(layer => layer.stop())))

/** A host whose layers are driven by nothing. `ledger` is what a majority has; `asked` are the grants that were asked for, by layer. */
function host() {
  const turns = createTurns()
  const asked: string[] = []
  let ledger: LedgerValue = { ...genesis('web', NODES.slice(0, 3)), targets: { app: image('v1') } }
  const layer = (name: string, intent: Intent | null, runs: Digest): Layer => {
    const driver = {
      current: () => ({ digest: runs, slot: 'a', marks: [] }),
      health: () => ({ health: 'unknown', reason: 'no check has run' }),
      onHealth: () => undefined,
      ready: async () => ({ answer: 'ok', reason: '' }),
      stage: async () => undefined,
      // It ends with the layer: whoever got so far stays bound.
      drain: (_: Digest, signal: AbortSignal) =>
        new Promise(done => signal.addEventListener('abort', () => done({ answer: 'busy', reason: '' }))),
    } as unknown as Driver
    const made = createLayer({
      ...{ layer: name, node, zone: 'z', driver, intent, turns },
      ledger: {
        async propose(action) {
          if (action.type === 'grant') asked.push(name)
          const result = apply(ledger, action, update.body)
          if (isRefusal(result)) return { type: 'refused', refusal: result, value: ledger }
          ledger = result
          return { type: 'committed', value: ledger }
        },
        read: async () => null,
      },
      persistIntent: async () => undefined,
      fetch: async () => undefined,
      unpack: async () => undefined,
      unavailable: () => [],
      confirm: async () => ({ enough: true, reason: '' }),
      quiesce: async () => undefined,
      labelOf: () => null,
      conditionsOf: () => undefined,
      beside: () => ({}),
      onFlip: () => undefined,
      now: () => NOW as Millis,
      random: seededRandom(1),
      log: pino({ level: 'silent' }),
      note: () => undefined,
      witness: async () => undefined,
      witnessed: async () => undefined,
      onChange: () => undefined,
    })
    layers.push(made)
    made.start()
    return made
  }
  const begin = (): LedgerValue => {
    ledger = act(ledger, { type: 'start', plan: update, now: NOW })
    return ledger
  }
  const hold = (): void => {
    ledger = act(ledger, { type: 'grant', node, zone: 'z', unavailable: [], now: NOW })
  }
  return { layer, asked, begin, hold }
}

const BOUND: Intent = {
  ...{ act: 'replace', plan: update.id, token: 1, kind: 'replace', from: image('o1'), to: image('o2') },
  ...{ minHealthy: 1_000, deadline: 10_000, failure: null },
}

test('a layer does not go by the permit that another layer of its host is bound to', async () => {
  const { layer, asked, begin, hold } = host()
  const value = begin()
  hold()
  layer('os', BOUND, image('o1'))
  const app = layer('app', null, image('v1'))
  app.observe(value, update)
  await eventually('it to wait for the other', () => /layer os of this host is replaced first/.test(app.explain()))
  expect(asked).toEqual([])
  expect(app.idle()).toBe(false)
})

test('a layer alone asks, and is bound to what it is granted', async () => {
  const { layer, asked, begin } = host()
  const value = begin()
  const app = layer('app', null, image('v1'))
  app.observe(value, update)
  await eventually('it to drain', () => /draining under permit 1/.test(app.explain()))
  expect(asked).toEqual(['app'])
})
