import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EVENT_TYPES, type Filter, matches, parseHandlerSpec } from '../../../daemon/handlers/spec.ts'

describe('the text of an event handler', () => {
  it.each([
    ['./x', [{ type: '*' }], './x'],
    ['*=./x', [{ type: '*' }], './x'],
    ['member-join=./x a=b', [{ type: 'member-join' }], './x a=b'],
    ['user=./x', [{ type: 'user' }], './x'],
    ['user:deploy=./x', [{ type: 'user', name: 'deploy' }], './x'],
    ['user:a:b=./x', [{ type: 'user', name: 'a:b' }], './x'],
    [
      'member-failed,user:deploy,query:uptime= uptime',
      [{ type: 'member-failed' }, { type: 'user', name: 'deploy' }, { type: 'query', name: 'uptime' }],
      'uptime',
    ],
  ])('%s', (text, filters, script) => {
    expect(parseHandlerSpec(text)).toEqual({ text, filters, script })
  })

  it.each([
    ['', /there is no script/],
    ['user=', /there is no script; expected \[TYPE\[,TYPE\]\[:NAME\]=\]SCRIPT/],
    ['member-joined=./x', /"member-joined" is no type of event; expected member-join, .*query, \*/],
    ['FOO=1 ./x', /"FOO" is no type of event.*written \*=SCRIPT/],
    ['=./x', /"" is no type of event/],
    ['user,,query=./x', /"" is no type of event/],
    ['member-join:web=./x', /"member-join:web": only user and query can have a :NAME/],
    ['*:a=./x', /"\*:a": only user and query/],
    ['query:=./x', /there is no name behind the colon/],
    ['query:_serf_ping=./x', /begin with _ are the fleet's own/],
    [`user:${'n'.repeat(129)}=./x`, /longer than 128 bytes/],
    ['user=./x\0', /NUL/],
    [`./${'x'.repeat(16_384)}`, /longer than 16384 bytes/],
  ])('is refused with the part that is wrong: %j', (text, message) => {
    expect(() => parseHandlerSpec(text)).toThrow(message)
  })

  const filter: fc.Arbitrary<Filter> = fc.oneof(
    fc.record({ type: fc.constantFrom(...EVENT_TYPES) }),
    fc.record({
      type: fc.constantFrom('user' as const, 'query' as const),
      name: fc.stringMatching(/^[^=,_\0][^=,\0]{0,20}$/),
    }),
  )
  const script = fc
    .string({ minLength: 1, maxLength: 60 })
    .filter(text => !text.includes('\0') && text.trim() === text && text !== '')

  it('means what it was made of', () => {
    fc.assert(
      fc.property(fc.array(filter, { minLength: 1, maxLength: 5 }), script, (filters, command) => {
        const head = filters.map(({ type, name }) => (name === undefined ? type : `${type}:${name}`)).join(',')
        expect(parseHandlerSpec(`${head}=${command}`)).toMatchObject({ filters, script: command })
      }),
    )
  })

  it('is either understood or refused in one sentence, whatever it is', () => {
    fc.assert(
      fc.property(fc.string(), text => {
        try {
          expect(parseHandlerSpec(text).filters.length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toMatchObject({ name: 'FleetError', code: 'bad-input' })
        }
      }),
    )
  })
})

describe('what a handler is for', () => {
  const is = (text: string, kind: Parameters<typeof matches>[1]): boolean => matches(parseHandlerSpec(text), kind)

  it('is its types, and of user events and queries its names', () => {
    expect(is('./x', { type: 'member-reap' })).toBe(true)
    expect(is('member-join=./x', { type: 'member-leave' })).toBe(false)
    expect(is('user=./x', { type: 'user', name: 'any' })).toBe(true)
    expect(is('user:a=./x', { type: 'user', name: 'b' })).toBe(false)
    expect(is('user:a=./x', { type: 'query', name: 'a' })).toBe(false)
    expect(is('user:b,user:a=./x', { type: 'user', name: 'a' })).toBe(true)
  })

  it('is never a name that begins with _', () => {
    expect(is('./x', { type: 'query', name: '_serf_ping' })).toBe(false)
    expect(is('user=./x', { type: 'user', name: '_x' })).toBe(false)
  })
})
