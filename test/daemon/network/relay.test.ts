import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseRelayed } from '../../../daemon/network/relay/index.ts'
import { decodeReached, encodeAddresses, REACH } from '../../../daemon/network/relay/reachability.ts'
import type { Address } from '../../../protocol/index.ts'
import { eventually } from '../../support/wait.ts'
import { type Libp2pMember, libp2pMember } from './fixtures.ts'
import { bytes, soon, text } from './support.ts'

const FLEET = 'fleet-one'
/** Nothing listens there, so that nobody can dial who says that he is there. */
const NOWHERE = { advertise: ['127.0.0.1:9'], relay: true }
const MEBIBYTE = 1024 * 1024

describe('a member that nobody can dial', () => {
  const members: Libp2pMember[] = []
  const member = async (options: Parameters<typeof libp2pMember>[1]): Promise<Libp2pMember> => {
    const made = await libp2pMember(FLEET, {
      ...options,
      prepare(network) {
        network.serve('echo', (_from, body) => body)
        network.acceptChannels('echo', async channel => {
          for await (const frame of channel.frames) await channel.send(frame)
        })
      },
    })
    members.push(made)
    return made
  }
  let relay: Libp2pMember
  let hidden: Libp2pMember
  let caller: Libp2pMember

  beforeAll(async () => {
    relay = await member({ relay: true })
    hidden = await member(NOWHERE)
    caller = await member(NOWHERE)
    await hidden.network.connect(relay.id, relay.addresses, soon())
    await eventually('it to be found through the relay', () => hidden.events.addresses.length === 2)
  })
  afterAll(() => Promise.all(members.map(({ network }) => network.stop())))

  test('is found through one that it has dialled', () => {
    const [own, through] = hidden.network.addresses() as [Address, Address]
    expect(own).toBe('/ip4/127.0.0.1/tcp/9')
    expect(parseRelayed(through)).toEqual({ relay: relay.id, at: relay.addresses[0] })
  })

  test('is asked, linked, sent bulk and gossiped with by another like it, which is never connected to it', async () => {
    expect(await caller.network.connect(hidden.id, hidden.network.addresses(), soon())).toBe(hidden.id)
    await eventually('the link at the other end', () => hidden.network.links().includes(caller.id))

    caller.network.send(hidden.id, bytes('a frame'))
    await eventually('the frame', () => hidden.events.frames.some(({ text }) => text === 'a frame'))
    expect(text(await caller.network.request(hidden.id, 'echo', bytes('asked'), { signal: soon() }))).toBe('asked')
    expect(text(await hidden.network.request(caller.id, 'echo', bytes('back'), { signal: soon() }))).toBe('back')

    const channel = await caller.network.openChannel(hidden.id, 'echo', { signal: soon() })
    const sending = (async () => {
      for (let i = 0; i < 16; i++) await channel.send(new Uint8Array(MEBIBYTE).fill(i))
    })()
    let received = 0
    for await (const frame of channel.frames) {
      expect(frame.every(byte => byte === received)).toBe(true)
      if (++received === 16) break
    }
    await sending
    channel.close()

    await eventually('gossip', () => {
      hidden.network.publish('members', bytes(`news ${Math.random()}`))
      return caller.events.gossiped.some(({ from }) => from === hidden.id)
    })
    expect(relay.events.frames).toEqual([])
  })

  test('cannot be had through a member that it has not asked to relay', async () => {
    const [other, apart] = [await member({ relay: true }), await member({ relay: true })]
    const through = [`${other.addresses[0]}/p2p/${other.id}/p2p-circuit` as Address]
    await other.network.connect(relay.id, relay.addresses, soon())
    await expect(apart.network.connect(hidden.id, through, soon())).rejects.toMatchObject({ failure: 'unreachable' })
  })

  test('is told so by whoever is asked, as one that others can dial is told that', async () => {
    const ask = async ({ network }: Libp2pMember, addresses: readonly Address[]): Promise<boolean> => {
      const options = { signal: soon(), addresses: relay.addresses }
      return decodeReached(await network.request(relay.id, REACH, encodeAddresses(addresses), options))
    }
    const open = await member({ relay: false })
    expect(await ask(open, open.addresses)).toBe(true)
    expect(await ask(await member({ relay: false }), ['/ip4/127.0.0.1/tcp/9' as Address])).toBe(false)
  })

  test('is found through nobody once the relay is gone, and told so', async () => {
    await relay.network.stop()
    await eventually('its own address alone', () => hidden.events.addresses.length === 1)
    await eventually('the link to go with the relay', () => !hidden.network.links().includes(caller.id))
  })
})
