import type { Stream } from '@libp2p/interface'
import { encode } from 'it-length-prefixed'
import { expect, test } from 'vitest'
import { serveRequests } from '../../../daemon/network/rpc.ts'
import { encodeRequest } from '../../../daemon/network/rpc-messages.ts'
import type { Session, SessionHandler } from '../../../daemon/network/sessions.ts'
import { eventually } from '../../support/wait.ts'

test('a response that the asker does not read is given up', async () => {
  let handler: SessionHandler | undefined
  await serveRequests(
    {
      async handle(_protocol, given) {
        handler = given
      },
    },
    new Map([['big', () => new Uint8Array(100_000)]]),
    20,
  )
  let aborted: Error | undefined
  const stream = {
    source: (async function* () {
      yield encode.single(encodeRequest({ service: 'big', body: new Uint8Array() }))
    })(),
    // Takes the first piece into its window, and never asks for another.
    sink: (source: AsyncIterable<unknown>) =>
      source[Symbol.asyncIterator]()
        .next()
        .then(() => new Promise(() => {})),
    timeline: {},
    abort(reason: Error) {
      aborted = reason
    },
  } as unknown as Stream
  const served = Promise.resolve(handler?.({ peer: 'asker' } as unknown as Session, stream))
  await expect(served).rejects.toThrow('not read in time')
  await eventually('the stream to be reset', () => aborted !== undefined)
})
