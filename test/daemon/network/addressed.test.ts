import { expect, test } from 'vitest'
import { addressed, createMemoryHub } from '../../../daemon/network/index.ts'
import { generateKeyPair } from '../../../protocol/index.ts'
import { admissionOf, bytes, recorder, soon, text } from './support.ts'

test('a member that is no neighbour is asked at the addresses that it is known to have', async () => {
  const hub = createMemoryHub()
  const started = async () => {
    const key = generateKeyPair()
    const network = hub.createNetwork({ key, admission: admissionOf(key, 'fleet') })
    network.serve('echo', (_from, body) => body)
    network.acceptChannels('echo', channel => void channel.send(bytes('a frame')))
    await network.start(recorder())
    return network
  }
  const [a, b] = [await started(), await started()]
  const options = { signal: soon() }
  await expect(a.request(b.self, 'echo', bytes('one'), options)).rejects.toMatchObject({ code: 'unavailable' })

  const network = addressed(a, node => (node === b.self ? b.addresses() : []))
  expect(text(await network.request(b.self, 'echo', bytes('one'), options))).toBe('one')
  const channel = await network.openChannel(b.self, 'echo', options)
  for await (const frame of channel.frames) {
    expect(text(frame)).toBe('a frame')
    break
  }
  await Promise.all([a.stop(), b.stop()])
})
