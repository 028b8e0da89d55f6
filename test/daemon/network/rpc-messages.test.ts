import { expect, test } from 'vitest'
import { decodeResponse, encodeFailure } from '../../../daemon/network/rpc-messages.ts'
import { encode, FleetError } from '../../../protocol/index.ts'

const thrownBy = (frame: Uint8Array): unknown => {
  try {
    return decodeResponse(frame)
  } catch (error) {
    return error
  }
}

test('an error comes with what of its detail can travel', () => {
  const sent = new FleetError('conflict', 'no', { detail: { generation: 8, name: 'x', cause: new Error('hidden') } })
  expect(thrownBy(encodeFailure(sent))).toMatchObject({
    code: 'conflict',
    message: 'no',
    detail: { generation: 8, name: 'x' },
  })
})

test.each([
  ['bytes', new Uint8Array(100)],
  ['a list', ['x']],
  ['nothing', null],
])('a detail that is %s is no detail', (_, detail) => {
  const { code, detail: found } = thrownBy(encode([false, ['internal', 'x', detail]])) as FleetError
  expect([code, found]).toEqual(['internal', {}])
})
