import { afterEach, describe, expect, test } from 'vitest'
import type { Channel, DialError, Network } from '../../../daemon/network/index.ts'
import {
  type Address,
  FleetError,
  generateKeyPair,
  type KeyPair,
  LIMITS,
  type NodeId,
  nodeIdOf,
} from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { admissionOf, bytes, type Recorder, recorder, soon, type TestAdmission, text } from './support.ts'

/** One implementation of Network, as the suite makes its nodes. */
export interface Implementation {
  readonly name: string
  create(key: KeyPair, admission: TestAdmission): Network
}

export interface Member {
  readonly id: NodeId
  readonly network: Network
  readonly events: Recorder
  readonly admission: TestAdmission
  readonly addresses: readonly Address[]
}

const NOBODY = '/ip4/127.0.0.1/tcp/9' as Address // the discard port, on which nothing listens

export function conforms({ name, create }: Implementation): void {
  const running: Network[] = []
  afterEach(async () => {
    await Promise.all(running.splice(0).map(network => network.stop()))
  })

  /** A started node; with no fleet, one without credentials. `prepare` registers services. */
  async function member(fleet: string | null = 'fleet-one', prepare: (network: Network) => void = () => {}) {
    const key = generateKeyPair()
    const admission = admissionOf(key, fleet ?? undefined)
    const network = create(key, admission)
    const events = recorder()
    prepare(network)
    await network.start(events)
    running.push(network)
    const made: Member = { id: nodeIdOf(key.publicKey), network, events, admission, addresses: network.addresses() }
    return made
  }

  async function linked(a: Member, b: Member): Promise<void> {
    await a.network.connect(b.id, b.addresses, soon())
    await eventually('the link to be up on the other side', () => b.network.links().includes(a.id), { everyMs: 2 })
  }

  const failureOf = (attempt: Promise<unknown>): Promise<DialError> =>
    attempt.then(
      () => {
        throw new Error('the dial was expected to fail')
      },
      error => error,
    )
  const errorOf = failureOf as unknown as (attempt: Promise<unknown>) => Promise<FleetError>

  describe(`${name}: links`, () => {
    test('two members that connect have one link, told to each of them once', async () => {
      const [a, b] = [await member(), await member()]
      expect(await a.network.connect(b.id, b.addresses, soon())).toBe(b.id)
      await eventually('both links', () => a.events.links.length === 1 && b.events.links.length === 1, { everyMs: 2 })
      expect(a.events.links).toEqual([`up ${b.id}`])
      expect(b.events.links).toEqual([`up ${a.id}`])
      expect(a.network.links()).toEqual([b.id])
      expect(b.network.links()).toEqual([a.id])
    })

    test('connecting by address alone tells who answered', async () => {
      const [a, b] = [await member(), await member()]
      expect(await a.network.connect(undefined, b.addresses, soon())).toBe(b.id)
      expect(a.network.links()).toEqual([b.id])
    })

    test('connecting to a linked peer changes nothing', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      expect(await a.network.connect(b.id, [], soon())).toBe(b.id)
      expect(await a.network.connect(undefined, b.addresses, soon())).toBe(b.id)
      expect(await b.network.connect(a.id, a.addresses, soon())).toBe(a.id)
      expect(a.events.links).toEqual([`up ${b.id}`])
      expect(b.events.links).toEqual([`up ${a.id}`])
    })

    test('two that dial each other at the same time end with one link each', async () => {
      for (let round = 0; round < 5; round++) {
        const [a, b] = [await member(), await member()]
        await Promise.all([
          a.network.connect(b.id, b.addresses, soon()),
          b.network.connect(a.id, a.addresses, soon()),
          a.network.connect(undefined, b.addresses, soon()),
        ])
        await eventually('both links', () => a.events.links.length > 0 && b.events.links.length > 0, { everyMs: 2 })
        a.network.send(b.id, bytes('from a'))
        b.network.send(a.id, bytes('from b'))
        await eventually('a frame each way', () => a.events.frames.length === 1 && b.events.frames.length === 1, {
          everyMs: 2,
        })
        expect(a.events.links).toEqual([`up ${b.id}`])
        expect(b.events.links).toEqual([`up ${a.id}`])
      }
    })

    test('frames arrive whole and in order, and count as a sign of life', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      for (let i = 0; i < 200; i++) expect(a.network.send(b.id, bytes(`frame ${i}`))).toBe(true)
      await eventually('200 frames', () => b.events.frames.length === 200, { everyMs: 2 })
      expect(b.events.frames).toEqual(Array.from({ length: 200 }, (_, i) => ({ peer: a.id, text: `frame ${i}` })))
      expect(b.events.heardFrom).toEqual(new Set([a.id]))
    })

    test('a frame of the largest size goes through, one byte more does not', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      expect(a.network.send(b.id, new Uint8Array(LIMITS.linkFrame).fill(97))).toBe(true)
      await eventually('the large frame', () => b.events.frames.length === 1, { everyMs: 5 })
      expect(b.events.frames[0]?.text.length).toBe(LIMITS.linkFrame)
      expect(a.network.send(b.id, new Uint8Array(LIMITS.linkFrame + 1))).toBe(false)
      expect(a.network.send(b.id, new Uint8Array())).toBe(false)
      expect(a.network.links()).toEqual([b.id])
    })

    test('nothing can be sent where there is no link', async () => {
      const [a, b] = [await member(), await member()]
      expect(a.network.send(b.id, bytes('hello'))).toBe(false)
    })

    test('a disconnect is told to both as a polite end, once, and they can meet again', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      a.network.disconnect(b.id)
      expect(a.network.send(b.id, bytes('too late'))).toBe(false)
      await eventually('both to be told', () => b.events.links.length === 2, { everyMs: 2 })
      expect(a.events.links).toEqual([`up ${b.id}`, `closed ${b.id}`])
      expect(b.events.links).toEqual([`up ${a.id}`, `closed ${a.id}`])
      await linked(b, a)
      expect(a.events.links.at(-1)).toBe(`up ${b.id}`)
      expect(b.events.links.at(-1)).toBe(`up ${a.id}`)
    })

    test('a network that stops says goodbye to its peers and is told nothing more', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      await a.network.stop()
      await a.network.stop()
      await eventually('the goodbye', () => b.events.links.length === 2, { everyMs: 2 })
      expect(b.events.links).toEqual([`up ${a.id}`, `closed ${a.id}`])
      expect(a.events.links).toEqual([`up ${b.id}`])
      expect(a.network.links()).toEqual([])
    })
  })

  describe(`${name}: admission`, () => {
    test('a member of another fleet is a stranger, and neither hears of the other', async () => {
      const [a, b] = [await member('fleet-one'), await member('fleet-two')]
      expect((await failureOf(a.network.connect(b.id, b.addresses, soon()))).failure).toBe('stranger')
      expect((await failureOf(b.network.connect(undefined, a.addresses, soon()))).failure).toBe('stranger')
      for (const { events, network } of [a, b]) {
        expect([events.links, events.frames, events.gossiped, [...events.heardFrom]]).toEqual([[], [], [], []])
        expect(network.links()).toEqual([])
      }
    })

    test('a daemon without credentials admits nobody, and is let in once it has them', async () => {
      const [a, b] = [await member(null), await member('fleet-one')]
      expect((await failureOf(a.network.connect(b.id, b.addresses, soon()))).failure).toBe('stranger')
      expect((await failureOf(b.network.connect(a.id, a.addresses, soon()))).failure).toBe('stranger')
      a.network.publish('members', bytes('to nobody'))
      a.admission.fleet = 'fleet-one'
      a.network.reconsider()
      await linked(a, b)
      await eventually('gossip to flow', () => {
        b.network.publish('members', bytes(`welcome ${Math.random()}`))
        return a.events.gossiped.length > 0
      })
    })

    test('a peer that is put out loses its link at once and is not let in again', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      a.admission.revoked.add(b.id)
      a.network.reconsider()
      await eventually('the link to go', () => a.events.links.length === 2 && b.events.links.length === 2)
      expect(a.events.links).toEqual([`up ${b.id}`, `closed ${b.id}`])
      expect((await failureOf(b.network.connect(a.id, a.addresses, soon()))).failure).toBe('stranger')
      expect((await failureOf(a.network.connect(b.id, b.addresses, soon()))).failure).toBe('stranger')
      expect(a.network.links()).toEqual([])
    })

    test('reconsidering with nothing changed changes nothing', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      a.network.reconsider()
      a.network.send(b.id, bytes('still here'))
      await eventually('the frame', () => b.events.frames.length === 1, { everyMs: 2 })
      expect(a.events.links).toEqual([`up ${b.id}`])
    })
  })

  describe(`${name}: dialling`, () => {
    test('a dial says how it failed', async () => {
      const [a, b, c] = [await member(), await member(), await member()]
      expect((await failureOf(a.network.connect(undefined, [NOBODY], soon()))).failure).toBe('refused')
      expect((await failureOf(a.network.connect(b.id, [NOBODY], soon()))).failure).toBe('refused')
      expect((await failureOf(a.network.connect(b.id, [], soon()))).failure).toBe('unreachable')
      expect((await failureOf(a.network.connect(b.id, c.addresses, soon()))).failure).toBe('stranger')
      expect((await failureOf(a.network.connect(undefined, a.addresses, soon()))).failure).toBe('stranger')
      expect((await failureOf(a.network.connect(b.id, b.addresses, AbortSignal.abort()))).failure).toBe('aborted')
      expect(a.network.links()).toEqual([])
    })

    test('one good address among bad ones is enough', async () => {
      const [a, b] = [await member(), await member()]
      expect(await a.network.connect(b.id, [NOBODY, ...b.addresses], soon())).toBe(b.id)
    })

    test('the address of a node that stopped is refused', async () => {
      const [a, b] = [await member(), await member()]
      await b.network.stop()
      expect((await failureOf(a.network.connect(b.id, b.addresses, soon()))).failure).toBe('refused')
    })
  })

  describe(`${name}: knocking`, () => {
    test('a host where somebody listens is open, one where nobody does refuses, and no link is made', async () => {
      const [a, b, c] = [await member(), await member(), await member()]
      expect(await a.network.knock(b.addresses, 1_000)).toBe('open')
      expect(await a.network.knock([NOBODY, ...b.addresses], 1_000)).toBe('open')
      expect(await a.network.knock([NOBODY], 1_000)).toBe('refused')
      await c.network.stop()
      expect(await a.network.knock(c.addresses, 1_000)).toBe('refused')
      expect(a.network.links()).toEqual([])
      expect(b.events.links).toEqual([])
    })
  })

  describe(`${name}: gossip`, () => {
    test('a message reaches everybody along the links, once, and not its author', async () => {
      const [a, b, c] = [await member(), await member(), await member()]
      await linked(a, b)
      await linked(b, c)
      await eventually('gossip to reach the far end', () => {
        a.network.publish('events', bytes(`probe ${Math.random()}`))
        return c.events.gossiped.length > 0
      })
      a.network.publish('rollouts', bytes('the message'))
      await eventually('the message', () => c.events.gossiped.some(({ text }) => text === 'the message'))
      const [got] = c.events.gossiped.filter(({ text }) => text === 'the message')
      expect(got).toEqual({ topic: 'rollouts', text: 'the message', from: b.id })
      a.network.publish('rollouts', bytes('the last one'))
      await eventually('the last one', () => c.events.gossiped.some(({ text }) => text === 'the last one'))
      for (const { events } of [b, c])
        expect(events.gossiped.filter(({ text }) => text === 'the message')).toHaveLength(1)
      expect(a.events.gossiped).toEqual([])
    })

    test('a message that is ignored or rejected does not travel on', async () => {
      const [a, b, c] = [await member(), await member(), await member()]
      await linked(a, b)
      await linked(b, c)
      await eventually('gossip to reach the far end', () => {
        a.network.publish('events', bytes(`probe ${Math.random()}`))
        return c.events.gossiped.length > 0
      })
      b.events.verdict = 'ignore'
      a.network.publish('events', bytes('not interesting'))
      await eventually('b to see it', () => b.events.gossiped.some(({ text }) => text === 'not interesting'))
      b.events.verdict = 'reject'
      a.network.publish('events', bytes('a lie'))
      await eventually('b to see the lie', () => b.events.gossiped.some(({ text }) => text === 'a lie'))
      b.events.verdict = 'accept'
      b.network.publish('events', bytes('after'))
      await eventually('what b says itself', () => c.events.gossiped.some(({ text }) => text === 'after'))
      expect(c.events.gossiped.some(({ text }) => text === 'not interesting' || text === 'a lie')).toBe(false)
    })

    test('a message that was published before the neighbour listened, while it was linked, reaches it', async () => {
      const [a, b, c] = [await member(), await member(), await member()]
      await linked(b, c)
      await a.network.connect(b.id, b.addresses, soon())
      a.network.publish('events', bytes('a question'))
      for (const { events } of [b, c])
        await eventually('the question', () => events.gossiped.some(({ text }) => text === 'a question'))
    })

    test('publishing with nobody there is no failure, publishing too much is', async () => {
      const a = await member()
      a.network.publish('members', bytes('hello'))
      a.network.publish('members', bytes('hello'))
      expect(() => a.network.publish('members', new Uint8Array(LIMITS.gossip + 1))).toThrow(FleetError)
    })

    test('a message of the largest size is delivered', async () => {
      const [a, b] = [await member(), await member()]
      await linked(a, b)
      await eventually('gossip to flow', () => {
        a.network.publish('events', bytes(`probe ${Math.random()}`))
        return b.events.gossiped.length > 0
      })
      a.network.publish('events', new Uint8Array(LIMITS.gossip).fill(97))
      await eventually('the large message', () => b.events.gossiped.some(({ text }) => text.length === LIMITS.gossip))
    })
  })

  describe(`${name}: requests`, () => {
    const withServices = (network: Network) => {
      network.serve('echo', (from, body) => bytes(`${from} said ${text(body)}`))
      network.serve('large', (_from, body) => body)
      network.serve('fail', () => {
        throw new FleetError('conflict', 'another generation is active', { detail: { generation: 8 } })
      })
      network.serve('bug', () => {
        throw new TypeError('x is not a function')
      })
    }

    test('a request is answered by the peer that was asked, who knows who asks', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      await linked(a, b)
      expect(text(await a.network.request(b.id, 'echo', bytes('hello'), { signal: soon() }))).toBe(`${a.id} said hello`)
    })

    test('a request dials where it must, and makes no link', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      const answer = await a.network.request(b.id, 'echo', bytes('hi'), { signal: soon(), addresses: b.addresses })
      expect(text(answer)).toBe(`${a.id} said hi`)
      expect(text(await a.network.request(b.id, 'echo', bytes('again'), { signal: soon() }))).toBe(`${a.id} said again`)
      expect([a.events.links, b.events.links]).toEqual([[], []])
      await linked(b, a)
    })

    test('many requests at once are all answered', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      await linked(a, b)
      const asked = Array.from({ length: 300 }, (_, i) =>
        a.network.request(b.id, 'echo', bytes(String(i)), { signal: soon() }),
      )
      const answers = await Promise.all(asked)
      expect(answers.map(text)).toEqual(Array.from({ length: 300 }, (_, i) => `${a.id} said ${i}`))
    })

    test('the largest body goes both ways', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      await linked(a, b)
      const body = new Uint8Array(LIMITS.rpcMessage).fill(7)
      const answer = await a.network.request(b.id, 'large', body, { signal: soon() })
      expect(Buffer.compare(answer, body)).toBe(0)
      const error = await errorOf(
        a.network.request(b.id, 'large', new Uint8Array(LIMITS.rpcMessage + 1), { signal: soon() }),
      )
      expect(error.code).toBe('too-large')
    })

    test('an error arrives with its code, message and particulars', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      await linked(a, b)
      const error = await errorOf(a.network.request(b.id, 'fail', bytes(''), { signal: soon() }))
      expect(error).toBeInstanceOf(FleetError)
      expect([error.code, error.message, error.detail]).toEqual([
        'conflict',
        'another generation is active',
        { generation: 8 },
      ])
      expect((await errorOf(a.network.request(b.id, 'bug', bytes(''), { signal: soon() }))).code).toBe('internal')
      expect((await errorOf(a.network.request(b.id, 'nope', bytes(''), { signal: soon() }))).code).toBe('not-found')
    })

    test('an answer that does not come in time is a timeout, and the handler is told', async () => {
      let told = false
      const slow = (network: Network) =>
        network.serve('slow', (_from, _body, signal) => {
          return new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              told = true
              reject(new Error('nobody waits'))
            })
          })
        })
      const [a, b] = [await member(), await member('fleet-one', slow)]
      await linked(a, b)
      const error = await errorOf(a.network.request(b.id, 'slow', bytes(''), { signal: AbortSignal.timeout(100) }))
      expect(error.code).toBe('timeout')
      await eventually('the handler to be told', () => told)
    })

    test('asking a peer that is gone or unknown is unavailable', async () => {
      const [a, b] = [await member(), await member('fleet-one', withServices)]
      expect((await errorOf(a.network.request(b.id, 'echo', bytes(''), { signal: soon() }))).code).toBe('unavailable')
      const gone = { signal: soon(), addresses: b.addresses }
      await b.network.stop()
      expect((await errorOf(a.network.request(b.id, 'echo', bytes(''), gone))).code).toBe('unavailable')
    })

    test('a request that is under way when the peer stops is unavailable', async () => {
      let asked = false
      const silent = (network: Network) =>
        network.serve('silent', () => {
          asked = true
          return new Promise(() => {})
        })
      const [a, b] = [await member(), await member('fleet-one', silent)]
      await linked(a, b)
      const pending = errorOf(a.network.request(b.id, 'silent', bytes(''), { signal: soon() }))
      await eventually('the request to arrive', () => asked)
      await b.network.stop()
      expect((await pending).code).toBe('unavailable')
    })
  })

  describe(`${name}: channels`, () => {
    const collect = async (channel: Channel): Promise<string[]> => {
      const all: string[] = []
      for await (const frame of channel.frames) all.push(text(frame))
      return all
    }

    test('frames go both ways in order, and closing either end ends both', async () => {
      const accepted: Promise<string[]>[] = []
      const [a, b] = [
        await member(),
        await member('fleet-one', network =>
          network.acceptChannels('bulk', channel => {
            const back = async () => {
              const got: string[] = []
              for await (const frame of channel.frames) {
                got.push(text(frame))
                await channel.send(bytes(`got ${text(frame)}`))
              }
              return got
            }
            accepted.push(back())
          }),
        ),
      ]
      const channel = await a.network.openChannel(b.id, 'bulk', { signal: soon(), addresses: b.addresses })
      expect(channel.peer).toBe(b.id)
      const answers: string[] = []
      const sending = (async () => {
        for (let i = 0; i < 20; i++) await channel.send(bytes(`frame ${i}`))
      })()
      for await (const frame of channel.frames) {
        answers.push(text(frame))
        if (answers.length === 20) break
      }
      await sending
      channel.close()
      const expected = Array.from({ length: 20 }, (_, i) => `frame ${i}`)
      expect(answers).toEqual(expected.map(frame => `got ${frame}`))
      expect(await accepted[0]).toEqual(expected)
      await expect(channel.send(bytes('late'))).rejects.toMatchObject({ code: 'unavailable' })
    })

    test('what was sent before closing still arrives', async () => {
      const got: Promise<string[]>[] = []
      const [a, b] = [
        await member(),
        await member('fleet-one', network =>
          network.acceptChannels('bulk', channel => void got.push(collect(channel))),
        ),
      ]
      const channel = await a.network.openChannel(b.id, 'bulk', { signal: soon(), addresses: b.addresses })
      for (let i = 0; i < 3; i++) await channel.send(new Uint8Array(100_000).fill(97 + i))
      channel.close()
      await eventually('the channel', () => got.length === 1)
      expect((await got[0])?.map(frame => `${frame.length} ${frame[0]}`)).toEqual(['100000 a', '100000 b', '100000 c'])
    })

    test('the end that only sends learns that the other closed', async () => {
      const [a, b] = [
        await member(),
        await member('fleet-one', network => network.acceptChannels('rude', channel => channel.close())),
      ]
      const channel = await a.network.openChannel(b.id, 'rude', { signal: soon(), addresses: b.addresses })
      await eventually('sending to fail', () =>
        channel.send(bytes('anybody there?')).then(
          () => false,
          error => error.code === 'unavailable',
        ),
      )
      expect(await collect(channel)).toEqual([])
    })

    test('a channel to a service that nobody takes ends', async () => {
      const [a, b] = [await member(), await member()]
      const channel = await a.network.openChannel(b.id, 'nope', { signal: soon(), addresses: b.addresses })
      expect(await collect(channel)).toEqual([])
    })

    test('a receiver that does not read holds its sender back', async () => {
      const taken: Channel[] = []
      const [a, b] = [
        await member(),
        await member('fleet-one', network => network.acceptChannels('slow', channel => void taken.push(channel))),
      ]
      const channel = await a.network.openChannel(b.id, 'slow', { signal: soon(), addresses: b.addresses })
      let sent = 0
      const frames = 16
      const sending = (async () => {
        for (; sent < frames; sent++) await channel.send(new Uint8Array(LIMITS.channelFrame).fill(sent))
        channel.close()
      })()
      await eventually('the channel', () => taken.length === 1)
      // A request overtakes the bulk, and shows that the connection itself is not what is held back.
      await b.network.request(a.id, 'nope', bytes(''), { signal: soon() }).catch(() => {})
      expect(sent).toBeLessThan(frames - 2)
      let received = 0
      for await (const frame of taken[0]!.frames) {
        expect(frame.byteLength).toBe(LIMITS.channelFrame)
        expect([frame[0], frame.at(-1)]).toEqual([received, received])
        received++
      }
      await sending
      expect(received).toBe(frames)
    })

    test('a frame over the limit is refused before it is sent', async () => {
      const [a, b] = [await member(), await member('fleet-one', network => network.acceptChannels('bulk', () => {}))]
      const channel = await a.network.openChannel(b.id, 'bulk', { signal: soon(), addresses: b.addresses })
      await expect(channel.send(new Uint8Array(LIMITS.channelFrame + 1))).rejects.toMatchObject({ code: 'too-large' })
      channel.close()
    })

    test('a channel ends when the peer stops', async () => {
      const [a, b] = [await member(), await member('fleet-one', network => network.acceptChannels('bulk', () => {}))]
      const channel = await a.network.openChannel(b.id, 'bulk', { signal: soon(), addresses: b.addresses })
      const end = collect(channel)
      await b.network.stop()
      expect(await end).toEqual([])
    })
  })
}
