import fc from 'fast-check'
import { expect, test } from 'vitest'
import { onTheWire, payloadOf } from '../../../daemon/images/overhead.ts'

test('a part is never longer than there is room for on the wire, and at most a record of TLS shorter', () => {
  fc.assert(
    fc.property(fc.integer({ min: 200, max: 128 * 1024 }), wire => {
      const bytes = payloadOf(wire)
      expect(bytes).toBeGreaterThan(0)
      expect(onTheWire(bytes)).toBeLessThanOrEqual(wire)
      expect(payloadOf(onTheWire(bytes))).toBeGreaterThanOrEqual(bytes - 22)
    }),
  )
})

test('one full segment costs what the kernel counts for it', () => {
  // 1448 bytes of TCP, of which TLS takes 22 and the message 20.
  expect(onTheWire(1_448 - 22 - 20)).toBe(1_514)
  expect(onTheWire(1_448 - 22 - 20 + 1)).toBe(1_514 + 1 + 66)
})
