import { spawnSync } from 'node:child_process'
import { connect } from 'node:net'
import type { Packet } from 'dns-packet'
import { decode, encode } from 'dns-packet'
import fc from 'fast-check'
import pino from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { answer } from '../../../daemon/dns/answer.ts'
import { createDns, type Dns } from '../../../daemon/dns/index.ts'
import { respond } from '../../../daemon/dns/packets.ts'
import { runCommand } from '../../../daemon/drivers/index.ts'
import type { MemberView } from '../../../membership/index.ts'
import { type Address, type Millis, seededRandom } from '../../../protocol/index.ts'
import { member } from '../handlers/support.ts'

const WEB = { name: 'web', port: 8080, protocol: 'tcp', health: 'passing', weight: 10 } as const
const host = (n: number, more: Partial<MemberView> = {}): MemberView =>
  member(`n${n}`, {
    addresses: [`/ip4/192.0.2.${n}/tcp/7946`, `/ip6/2001:db8::${n}/tcp/7946`] as Address[],
    services: [WEB],
    ...more,
  })
const random = seededRandom(1)
const ask = (name: string, type: string, members: readonly MemberView[]) =>
  answer({ name, type: type as 'A', class: 'IN' }, members, random)
const data = ({ answers }: { answers: readonly object[] }) =>
  answers.map(each => (each as { data: unknown }).data).sort()

test('only those who are there, well and not about to stop are in the answers', () => {
  const fleet = [
    host(1),
    host(2),
    host(3, { status: 'failed' }),
    host(4, { services: [{ ...WEB, weight: 0 }] }),
    host(5, { services: [{ ...WEB, health: 'failing' }] }),
    host(6, { status: 'left' }),
  ]
  expect(data(ask('web.service.fleet', 'A', fleet))).toEqual(['192.0.2.1', '192.0.2.2'])
  expect(data(ask('WEB.Service.fleet.', 'AAAA', fleet))).toEqual(['2001:db8::1', '2001:db8::2'])
  expect(data(ask('n5.node.fleet', 'A', fleet))).toEqual(['192.0.2.5'])
  expect(ask('n3.node.fleet', 'A', fleet)).toMatchObject({ rcode: 3, authorities: [{ type: 'SOA' }] })
  const srv = ask('_web._tcp.service.fleet', 'SRV', fleet)
  expect(srv.answers.map(each => (each as { data: object }).data)).toContainEqual({
    priority: 0,
    weight: 10,
    port: 8080,
    target: 'id-of-n1.node.fleet',
  })
  expect(srv.additionals).toHaveLength(4)
  expect(data(ask('id-of-n1.node.fleet', 'A', fleet))).toEqual(['192.0.2.1'])
})

test('what is not there is NXDOMAIN, what has no such record NODATA, and what is elsewhere refused', () => {
  const fleet = [host(1, { services: [{ ...WEB, health: 'failing' }] })]
  const kinds = (name: string, type: string) => {
    const { rcode, answers, authorities } = ask(name, type, fleet)
    return [rcode, answers.length, authorities.length]
  }
  expect(kinds('web.service.fleet', 'A')).toEqual([0, 0, 1])
  expect(kinds('_web._udp.service.fleet', 'SRV')).toEqual([3, 0, 1])
  expect(kinds('n1.node.fleet', 'MX')).toEqual([0, 0, 1])
  expect(kinds('fleet', 'SOA')).toEqual([0, 1, 0])
  for (const name of ['x.fleet', 'db.service.fleet', 'n2.node.fleet', 'a.b.service.fleet'])
    expect(kinds(name, 'A')[0]).toBe(3)
  for (const name of ['example.org', 'notfleet', '']) expect(kinds(name, 'A')).toEqual([5, 0, 0])
})

test('over UDP an answer is no longer than the asker takes, and says so when it was cut', () => {
  const fleet = Array.from({ length: 60 }, (_, n) => host(n + 1))
  const query = (more: Partial<Packet> = {}): Uint8Array =>
    encode({ type: 'query', id: 7, flags: 0x100, questions: [{ name: 'web.service.fleet', type: 'A' }], ...more })
  const find = (q: Parameters<typeof answer>[0]) => answer(q, fleet, random)
  const over = (transport: 'udp' | 'tcp', packet: Uint8Array) => respond(packet, transport, find)!
  const short = over('udp', query())
  expect(short.byteLength).toBeLessThanOrEqual(512)
  expect(decode(Buffer.from(short))).toMatchObject({ id: 7, flag_tc: true, flag_rd: true, flag_aa: true, answers: [] })
  expect(decode(Buffer.from(over('tcp', query())))).toMatchObject({ flag_tc: false, answers: { length: 60 } })
})

test('no packet, whatever its bytes, is answered with more than UDP may carry, or throws', () => {
  const fleet = [host(1), host(2)]
  const good = encode({ type: 'query', id: 1, questions: [{ name: 'web.service.fleet', type: 'SRV' }] })
  const changed = fc.array(fc.tuple(fc.nat(good.byteLength - 1), fc.nat(255)), { maxLength: 6 }).map(changes => {
    const bytes = Uint8Array.from(good)
    for (const [at, value] of changes) bytes[at] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 1100 }), changed), packet => {
      const made = respond(packet, 'udp', question => answer(question, fleet, random))
      if (made === undefined) return
      expect(made.byteLength).toBeLessThanOrEqual(1232)
      expect(decode(Buffer.from(made)).id).toBe((packet[0]! << 8) | packet[1]!)
    }),
    { numRuns: 2_000 },
  )
})

let dns: Dns
beforeAll(async () => {
  dns = await createDns({
    address: '127.0.0.1:0',
    members: () => Array.from({ length: 60 }, (_, n) => host(n + 1)),
    now: () => Date.now() as Millis,
    random,
    log: pino({ level: 'silent' }),
  })
})
afterAll(() => dns.close())

const noDig = spawnSync('dig', ['-v']).error === undefined ? undefined : 'there is no dig; install bind9-dnsutils'
test.skipIf(noDig !== undefined)(
  `dig is answered over UDP, and over TCP when UDP is too short${noDig === undefined ? '' : ` (skipped: ${noDig})`}`,
  async () => {
    const dig = async (...args: string[]): Promise<string> => {
      let output = ''
      const port = dns.address.split(':')[1]!
      const command = `dig @127.0.0.1 -p ${port} +tries=1 +time=5 ${args.join(' ')}`
      await runCommand({
        command,
        cwd: '/',
        env: {},
        timeout: 20_000,
        signal: AbortSignal.timeout(20_000),
        onOutput: (_stream, chunk) => {
          output += chunk
        },
      })
      return output
    }
    expect((await dig('+short', 'n7.node.fleet')).trim()).toBe('192.0.2.7')
    expect((await dig('+short', 'n7.node.fleet', 'AAAA')).trim()).toBe('2001:db8::7')
    expect(await dig('n7.node.fleet', 'TXT')).toContain('"zone=z1"')
    expect(await dig('+short', 'web.service.fleet', 'SRV')).toMatch(/^0 10 8080 id-of-n\d+\.node\.fleet\.$/m)
    expect(await dig('+noedns', '+ignore', 'web.service.fleet')).toMatch(/flags: qr aa tc rd/)
    const retried = await dig('+noedns', 'web.service.fleet')
    expect(retried).toContain('retrying in TCP mode')
    expect(retried).toContain('ANSWER: 60')
    expect(await dig('gone.node.fleet')).toMatch(/status: NXDOMAIN[\s\S]*SOA/)
    expect(await dig('example.org')).toContain('status: REFUSED')
  },
)

test('who claims a longer question than there can be is cut off', async () => {
  const [address, port] = dns.address.split(':')
  const socket = connect(Number(port), address)
  socket.on('error', () => undefined)
  socket.write(Buffer.from([0xff, 0xff, 0, 0]))
  await new Promise(done => socket.once('close', done))
})
