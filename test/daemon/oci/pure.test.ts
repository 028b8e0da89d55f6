import fc from 'fast-check'
import { expect, test } from 'vitest'
import { bodyOf, OciError, toOciError } from '../../../daemon/oci/errors.ts'
import { lexically, page } from '../../../daemon/oci/pages.ts'
import { parseContentRange, parseRange, uploadRange } from '../../../daemon/oci/ranges.ts'
import { segmentOf } from '../../../daemon/oci/segments.ts'
import { type ErrorCode, EXIT_CODE, FleetError } from '../../../protocol/index.ts'

const count = fc.nat({ max: 2_000 })

test('a range gives the bytes that it names, of those that are there', () => {
  fc.assert(
    fc.property(count, count, count, (size, start, length) => {
      const content = Array.from({ length: size }, (_, at) => at)
      const bytesOf = (header: string): number[] | 'none' => {
        const range = parseRange(header, size)
        return range === 'none' ? 'none' : range === 'whole' ? content : content.slice(range.start, range.end + 1)
      }
      const expected = (bytes: number[]): number[] | 'none' => (bytes.length === 0 ? 'none' : bytes)
      expect(bytesOf(`bytes=${start}-${start + length}`)).toEqual(expected(content.slice(start, start + length + 1)))
      expect(bytesOf(`bytes=${start}-`)).toEqual(expected(content.slice(start)))
      expect(bytesOf(`bytes=-${length}`)).toEqual(expected(length === 0 ? [] : content.slice(-length)))
    }),
  )
})

test('whatever a Range header says, it leads nowhere out of the content', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^bytes=[0-9,\- ]{0,40}$/)), count, (header, size) => {
      const range = parseRange(header, size)
      if (typeof range === 'string') return
      expect(range.start).toBeGreaterThanOrEqual(0)
      expect(range.end).toBeGreaterThanOrEqual(range.start)
      expect(range.end).toBeLessThan(size)
    }),
  )
  expect(parseRange(undefined, 5)).toBe('whole')
})

test('the range of a pushed chunk', () => {
  fc.assert(
    fc.property(count, count, (start, length) => {
      expect(parseContentRange(`${start}-${start + length}`)).toEqual({ start, end: start + length })
      if (length > 0) expect(parseContentRange(`${start + length}-${start}`)).toBeUndefined()
    }),
  )
  for (const bad of ['', '-', '1-', '-1', 'bytes 0-1', 'bytes 0-1/2', '0-1/2', '0-9999999999999999', '0x1-0x2', ' 0-1'])
    expect(parseContentRange(bad)).toBeUndefined()
  expect([0, 1, 1_000].map(uploadRange)).toEqual(['0-0', '0-0', '0-999'])
})

test('pages put together are the whole, in order', () => {
  const tags = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,4}$/), { maxLength: 40 })
  fc.assert(
    fc.property(tags, fc.integer({ min: 1, max: 9 }), (all, n) => {
      const seen: string[] = []
      for (let last: string | undefined; ; ) {
        const { items, next } = page(all, tag => tag, { n: String(n), last })
        expect(items.length).toBeLessThanOrEqual(n)
        seen.push(...items)
        if (next === undefined) break
        last = new URLSearchParams(next).get('last')!
        expect(last).toBe(items.at(-1))
      }
      expect(seen).toEqual([...all].sort(lexically))
    }),
  )
})

test('the parts that a blob is fetched in are the same from wherever one looks, and cover it once', () => {
  fc.assert(
    fc.property(count, fc.integer({ min: 1, max: 5_000 }), (from, length) => {
      const blob = { from, to: from + length }
      let at = from
      while (at < blob.to) {
        const part = segmentOf(blob, at)
        expect(part.from).toBe(at)
        expect(part.to).toBeGreaterThan(at)
        for (const chunk of [part.from, part.to - 1]) expect(segmentOf(blob, chunk)).toEqual(part)
        at = part.to
      }
      expect(at).toBe(blob.to)
    }),
  )
})

test('every error of ours is one that clients of a registry understand', () => {
  for (const code of Object.keys(EXIT_CODE) as ErrorCode[]) {
    const error = toOciError(new FleetError(code, `what happened: ${code}`))
    expect(error.status).toBeGreaterThanOrEqual(400)
    const { errors } = JSON.parse(bodyOf(error))
    expect(errors).toEqual([{ code: expect.stringMatching(/^[A-Z_]+$/), message: `what happened: ${code}` }])
  }
  expect(toOciError(new TypeError('x'))).toMatchObject({ status: 500, code: 'UNKNOWN' })
  const detailed = new OciError(404, 'BLOB_UNKNOWN', 'm', { detail: { digest: 'd' } })
  expect(JSON.parse(bodyOf(detailed)).errors[0].detail).toEqual({ digest: 'd' })
})
