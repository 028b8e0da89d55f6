import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  createReachability,
  decodeAddresses,
  encodeAddresses,
  serveReach,
} from '../../../daemon/network/relay/reachability.ts'
import { type Address, generateKeyPair, LIMITS, type NodeId, nodeIdOf } from '../../../protocol/index.ts'

const peer = () => nodeIdOf(generateKeyPair().publicKey)

describe('whether others can dial this node', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  /** Peers that were dialled, and what each says when it is asked. */
  function world(answers: Map<NodeId, () => boolean>) {
    const told: boolean[] = []
    const asked: NodeId[] = []
    const reachability = createReachability({
      peers: () => [...answers.keys()],
      async ask(node) {
        asked.push(node)
        return answers.get(node)!()
      },
      changed: dialled => void told.push(dialled),
    })
    return { told, asked, reachability }
  }

  test('is not asked of anybody before somebody was dialled', async () => {
    const { asked, reachability } = world(new Map())
    reachability.look()
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(asked).toEqual([])
  })

  test('is doubted once, and denied when the same peer fails again', async () => {
    const { told, asked, reachability } = world(new Map([[peer(), () => false]]))
    reachability.look()
    await vi.advanceTimersByTimeAsync(2_500)
    expect([asked.length, told]).toEqual([1, []])
    await vi.advanceTimersByTimeAsync(3_000)
    expect([asked.length, told]).toEqual([2, [false]])
  })

  test('is denied by one of many whom all others contradict: they may be behind the same router', async () => {
    const yes = () => true
    const { told, reachability } = world(
      new Map([...[peer(), peer()].map(id => [id, yes] as const), [peer(), () => false]]),
    )
    reachability.look()
    await vi.advanceTimersByTimeAsync(6_000)
    expect(told).toEqual([false])
  })

  test('is not denied because an answer was lost, and found out again later', async () => {
    let lost = true
    const { told, asked, reachability } = world(
      new Map([
        [
          peer(),
          () => {
            if (lost) throw new Error('no answer')
            return true
          },
        ],
      ]),
    )
    reachability.look()
    await vi.advanceTimersByTimeAsync(6_000)
    lost = false
    await vi.advanceTimersByTimeAsync(400_000)
    expect(told).toEqual([])
    expect(asked.length).toBe(2)
  })

  test('is believed again as soon as all who are asked can', async () => {
    let open = false
    const { told, reachability } = world(new Map([[peer(), () => open]]))
    reachability.look()
    await vi.advanceTimersByTimeAsync(6_000)
    open = true
    reachability.look()
    await vi.advanceTimersByTimeAsync(3_000)
    expect(told).toEqual([false, true])
  })

  test('asks no more once it is stopped', async () => {
    const { asked, reachability } = world(new Map([[peer(), () => true]]))
    reachability.look()
    reachability.stop()
    await vi.advanceTimersByTimeAsync(3_600_000)
    expect(asked).toEqual([])
  })
})

describe('the question whether its asker can be dialled', () => {
  const body = encodeAddresses(['/ip4/192.0.2.1/tcp/1' as Address])
  const forever = new AbortController().signal

  test('is answered once a second for each, and for few at once', async () => {
    const dialled: NodeId[] = []
    const handler = serveReach(async node => {
      dialled.push(node)
      await new Promise(() => {})
      return true
    })
    const [first, ...others] = Array.from({ length: 9 }, peer) as [NodeId, ...NodeId[]]
    void handler(first, body, forever)
    await expect(handler(first, body, forever)).rejects.toThrow('enough')
    for (const other of others.slice(0, 7)) void handler(other, body, forever)
    await expect(handler(others[7]!, body, forever)).rejects.toThrow('enough')
    expect(dialled).toEqual([first, ...others.slice(0, 7)])
  })

  test('is refused when it names more than a record may', async () => {
    const many = encodeAddresses(Array.from({ length: LIMITS.addresses + 1 }, () => '/ip4/192.0.2.1/tcp/1' as Address))
    expect(() => decodeAddresses(many)).toThrow('not a list')
    await expect(serveReach(async () => true)(peer(), many, forever)).rejects.toThrow('not a list')
  })
})
