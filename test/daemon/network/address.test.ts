import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressOf, endpointOf, expandWildcard, isLocalHost, resolveEndpoint } from '../../../daemon/network/address.ts'
import { parseAddress } from '../../../daemon/network/index.ts'
import { isOnLink } from '../../../daemon/network/interfaces.ts'
import { FleetError } from '../../../protocol/index.ts'

describe('an address', () => {
  test.each([
    ['192.0.2.1:7946', '/ip4/192.0.2.1/tcp/7946'],
    ['0.0.0.0:0', '/ip4/0.0.0.0/tcp/0'],
    ['[::1]:7946', '/ip6/::1/tcp/7946'],
    ['[::]:7946', '/ip6/::/tcp/7946'],
    ['seed.example:7946', '/dns/seed.example/tcp/7946'],
    ['Host:1', '/dns/host/tcp/1'],
    ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1'],
    ['/dns4/seed.example/tcp/1', '/dns/seed.example/tcp/1'],
    ['/ip6/fd00::1/tcp/1/p2p/12D3KooWCFt4uGyqM1ZXJFDrnvMaX5cZ7gZADXNUiDvPR4WpvGLT', '/ip6/fd00::1/tcp/1'],
  ])('%s is read as %s', (text, address) => {
    expect(parseAddress(text)).toBe(address)
  })

  test.each(['', 'host', 'host:', ':1', '::1:7946', '1.2.3:1', '1.2.3.4:65536', '[fe80::1%eth0]:1', '/ip4/::1/tcp/1'])(
    '%j is refused with what was expected',
    text => {
      expect(() => parseAddress(text)).toThrow(FleetError)
      expect(() => parseAddress(text)).toThrow('expected HOST:PORT')
    },
  )

  test('reads back what it wrote, and never throws anything but a FleetError', () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(host, fc.integer({ min: 0, max: 65_535 }), (host, port) => {
        const address = parseAddress(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
        expect(parseAddress(address)).toBe(address)
        expect(addressOf(endpointOf(address))).toBe(address)
        expect(endpointOf(address)).toEqual({ host: host.toLowerCase(), port })
      }),
    )
    fc.assert(
      fc.property(fc.string(), text => {
        try {
          parseAddress(text)
        } catch (error) {
          expect(error).toBeInstanceOf(FleetError)
        }
      }),
    )
  })

  test.each([
    '10.1.2.3',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '127.0.0.1',
    '169.254.1.1',
    '::1',
    'fd00::1',
    'fe80::1',
  ])('%s is local', host => expect(isLocalHost(host)).toBe(true))

  test.each([
    '8.8.8.8',
    '172.32.0.1',
    '11.0.0.1',
    '2001:db8::1',
    '0.0.0.0',
    'localhost',
    'seed.example',
    '::ffff:8.8.8.8',
  ])('%s is not local', host => expect(isLocalHost(host)).toBe(false))

  test('a wildcard stands for addresses of this host, and anything else for itself', () => {
    expect(expandWildcard({ host: '192.0.2.1', port: 1 })).toEqual([{ host: '192.0.2.1', port: 1 }])
    const expanded = expandWildcard({ host: '0.0.0.0', port: 7946 })
    expect(expanded.length).toBeGreaterThan(0)
    expect(expanded.every(({ host, port }) => host !== '0.0.0.0' && port === 7946)).toBe(true)
  })

  const net = (address: string, internal = false) => ({
    address,
    family: address.includes(':') ? ('IPv6' as const) : ('IPv4' as const),
    internal,
  })
  const LOOPBACK = [net('127.0.0.1', true), net('::1', true)]
  test('a wildcard never stands for loopback where the other family leads outward, nor for an address of the link', () => {
    const all = [...LOOPBACK, net('fd77::1'), net('fe80::1')]
    expect(expandWildcard({ host: '0.0.0.0', port: 1 }, all)).toEqual([])
    expect(expandWildcard({ host: '::', port: 1 }, all)).toEqual([{ host: 'fd77::1', port: 1 }])
    expect(expandWildcard({ host: '0.0.0.0', port: 1 }, LOOPBACK)).toEqual([{ host: '127.0.0.1', port: 1 }])
  })

  test.each(['8.8.8.8', '10.255.255.53', '[2001:db8::53]:5353'])(
    'with --lan-only a name is not asked of the resolver %s, which is not on the LAN',
    async resolver => {
      await expect(resolveEndpoint({ host: 'localhost', port: 1 }, true, [resolver])).rejects.toThrow('not on the LAN')
    },
  )

  test('with --lan-only a name is asked of a resolver on this host, and without it of any', async () => {
    expect(await resolveEndpoint({ host: 'localhost', port: 1 }, true, ['127.0.0.1'])).not.toEqual([])
    expect(await resolveEndpoint({ host: 'localhost', port: 1 }, false, ['8.8.8.8'])).not.toEqual([])
  })

  test('only the networks of this host are on its links', () => {
    const all = { eth0: [{ address: '10.1.0.7', family: 'IPv4' as const, cidr: '10.1.0.7/24' as string | null }] }
    expect(['10.1.0.1', '10.1.1.1', 'fd00::1'].map(address => isOnLink(address, all))).toEqual([true, false, false])
  })
})
