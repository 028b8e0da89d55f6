import { describe, expect, test } from 'vitest'
import { createMemoryHub, type MemoryHub } from '../../../daemon/network/index.ts'
import { generateKeyPair } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { conforms } from './conformance.ts'
import { admissionOf, bytes, recorder, soon } from './support.ts'

const shared = createMemoryHub()
conforms({ name: 'memory', create: (key, admission) => shared.createNetwork({ key, admission }) })

async function started(hub: MemoryHub) {
  const key = generateKeyPair()
  const network = hub.createNetwork({ key, admission: admissionOf(key, 'fleet') })
  const events = recorder()
  await network.start(events)
  return { network, events, id: network.self, addresses: network.addresses() }
}

describe('the memory hub', () => {
  test('resets the links of a node that is killed, and refuses dials to it', async () => {
    const hub = createMemoryHub()
    const [a, b] = [await started(hub), await started(hub)]
    await a.network.connect(b.id, b.addresses, soon())
    hub.kill(b.id)
    await eventually('the reset', () => a.events.links.length === 2, { everyMs: 1 })
    expect(a.events.links).toEqual([`up ${b.id}`, `reset ${b.id}`])
    await expect(a.network.connect(b.id, b.addresses, soon())).rejects.toMatchObject({ failure: 'refused' })
  })

  test('holds back what is sent across a cut until it heals, in order', async () => {
    const hub = createMemoryHub()
    const [a, b, c] = [await started(hub), await started(hub), await started(hub)]
    await a.network.connect(b.id, b.addresses, soon())
    await a.network.connect(c.id, c.addresses, soon())
    hub.partition(a.id, b.id)
    a.network.send(b.id, bytes('one'))
    a.network.send(b.id, bytes('two'))
    a.network.send(c.id, bytes('to c'))
    await eventually('c, which is not cut off', () => c.events.frames.length === 1, { everyMs: 1 })
    expect(b.events.frames).toEqual([])
    await expect(b.network.connect(undefined, a.addresses, soon())).rejects.toMatchObject({ failure: 'timeout' })
    hub.heal()
    await eventually('b', () => b.events.frames.length === 2, { everyMs: 1 })
    expect(b.events.frames.map(({ text }) => text)).toEqual(['one', 'two'])
  })

  test('gives no answer to a knock across a cut', async () => {
    const hub = createMemoryHub()
    const [a, b] = [await started(hub), await started(hub)]
    hub.partition(a.id, b.id)
    expect(await a.network.knock(b.addresses, 1)).toBe('none')
    hub.heal()
    expect(await a.network.knock(b.addresses, 1)).toBe('open')
  })

  test('does nothing by itself under manual delivery', async () => {
    const hub = createMemoryHub('manual')
    const [a, b] = [await started(hub), await started(hub)]
    const connecting = a.network.connect(b.id, b.addresses, soon())
    await Promise.resolve()
    expect(b.events.links).toEqual([])
    let steps = 0
    while (b.events.links.length === 0) {
      if (hub.step()) steps++
      await Promise.resolve()
    }
    while (hub.step()) steps++
    await connecting
    expect(steps).toBe(3)
    expect(a.events.links).toEqual([`up ${b.id}`])
  })
})
