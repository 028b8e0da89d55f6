import { createServer, type Server } from 'node:net'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createSerfRpc, type SerfRpc } from '../../../daemon/serf-rpc/index.ts'
import { SERF_LIMITS } from '../../../daemon/serf-rpc/limits.ts'
import { eventually } from '../../support/wait.ts'
import { greeted, type RawClient, rawClient } from './client.ts'
import { type Fake, fakeBackend, incoming, member } from './fake-backend.ts'

const log = pino({ level: 'silent' })
const OK = (seq: number | bigint) => ({ Seq: seq, Error: '' })

let fake: Fake
let rpc: SerfRpc
const clients: RawClient[] = []

const serve = async (token?: string): Promise<void> => {
  rpc = await createSerfRpc({ host: '127.0.0.1', port: 0, token, backend: fake.backend, log })
}
const client = async (made: Promise<RawClient> = greeted(rpc.address)): Promise<RawClient> => {
  clients.push(await made)
  return clients.at(-1)!
}

beforeEach(async () => {
  fake = fakeBackend([member('alpha', { tags: { role: 'web' } }), member('beta')])
  await serve()
})
afterEach(async () => {
  for (const one of clients.splice(0)) one.close()
  await rpc.close()
})

describe('the way in', () => {
  test('anything before the handshake is refused and ends the connection', async () => {
    const early = await client(rawClient(rpc.address))
    expect(await early.ask('members', 3)).toEqual({ Seq: 3, Error: 'Handshake required' })
    expect(await early.next()).toBeUndefined()
  })

  test('a handshake is made once, and in version 1', async () => {
    const one = await client(rawClient(rpc.address))
    expect(await one.ask('handshake', 1, { Version: 2 })).toEqual({ Seq: 1, Error: 'Unsupported IPC version' })
    expect(await one.ask('handshake', 2, { Version: 1 })).toEqual(OK(2))
    expect(await one.ask('handshake', 3, { Version: 1 })).toEqual({ Seq: 3, Error: 'Handshake already performed' })
    expect(await one.ask('members', 4)).toEqual(OK(4))
  })

  test('with a token nothing is told before it was shown, and the client may still show it', async () => {
    await rpc.close()
    await serve('correct horse')
    const one = await client()
    expect(await one.ask('event', 1, { Name: 'x', Payload: null, Coalesce: false })).toEqual({
      Seq: 1,
      Error: 'Authentication required',
    })
    expect(await one.ask('auth', 2, { AuthKey: 'correct horse' })).toEqual(OK(2))
    expect(await one.ask('event', 3, { Name: 'x', Payload: null, Coalesce: false })).toEqual(OK(3))
    expect(fake.calls).toEqual([['fire', 'x', '', false]])
  })

  test('a wrong token ends the connection', async () => {
    await rpc.close()
    await serve('correct horse')
    for (const AuthKey of ['', 'correct', 'correct horsE', 'correct horse ']) {
      const one = await client()
      expect(await one.ask('auth', 2, { AuthKey })).toEqual({ Seq: 2, Error: 'Invalid authentication token' })
      expect(await one.next()).toBeUndefined()
    }
  })

  test('a command that is not known is refused and ends the connection', async () => {
    const one = await client()
    expect(await one.ask('reboot', 9)).toEqual({ Seq: 9, Error: 'Unsupported command' })
    expect(await one.next()).toBeUndefined()
  })

  test('a handshake, a token and a large event in one write are taken', async () => {
    await rpc.close()
    await serve('secret')
    const one = await client(rawClient(rpc.address))
    one.socket.cork()
    one.send('handshake', 0, { Version: 1 })
    one.send('auth', 1, { AuthKey: 'secret' })
    one.send('event', 2, { Name: 'big', Payload: Buffer.alloc(60_000, 'x'), Coalesce: true })
    one.socket.uncork()
    expect([await one.next(), await one.next(), await one.next()]).toEqual([OK(0), OK(1), OK(2)])
    expect(fake.calls).toEqual([['fire', 'big', 'x'.repeat(60_000), true]])
  })
})

describe('what makes no sense', () => {
  const garbage: Record<string, Buffer> = {
    'an HTTP request': Buffer.from('POST /v1/leave HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'a TLS hello': Buffer.from('16030100c8010000c40303', 'hex'),
    'an extension type': Buffer.from('c70172ff', 'hex'),
    'deep nesting': Buffer.alloc(64, 0x91),
    'a length past the limit': Buffer.from('dbffffffff', 'hex'),
    'a header that is a list': Buffer.from('92a568656c6c6f01', 'hex'),
  }
  for (const [what, bytes] of Object.entries(garbage)) {
    test(`${what} ends the connection, before and after the handshake, and nobody else's`, async () => {
      const other = await client()
      for (const one of [await client(rawClient(rpc.address)), await client()]) {
        one.socket.write(bytes)
        expect(await one.next()).toBeUndefined()
      }
      expect(await other.ask('members', 5)).toEqual(OK(5))
      expect(fake.calls).toEqual([])
    })
  }

  test('a body of the wrong shape ends the connection', async () => {
    for (const body of [{ Name: 7 }, [], 'text', { Name: 'x', Coalesce: 'yes' }]) {
      const one = await client()
      one.send('event', 1, body)
      expect(await one.next()).toBeUndefined()
    }
    expect(fake.calls).toEqual([])
  })

  test('before the handshake a message may be short alone', async () => {
    const one = await client(rawClient(rpc.address))
    one.send('handshake', 1, { Version: 1, Padding: 'x'.repeat(SERF_LIMITS.greetingMessage) })
    expect(await one.next()).toBeUndefined()
  })

  test('a request may come byte by byte', async () => {
    const one = await client()
    one.socket.setNoDelay(true)
    const whole: Buffer[] = []
    const { write } = one.socket
    one.socket.write = ((bytes: Uint8Array) => whole.push(Buffer.from(bytes)) > 0) as typeof write
    one.send('event', 8, { Name: 'slow', Payload: Buffer.from('ly'), Coalesce: true })
    one.socket.write = write
    for (const byte of Buffer.concat(whole)) {
      await new Promise(done => one.socket.write(Uint8Array.of(byte), done))
    }
    expect(await one.next()).toEqual(OK(8))
    expect(fake.calls).toEqual([['fire', 'slow', 'ly', true]])
  })
})

describe('commands', () => {
  test('requests that are sent without waiting are answered in order', async () => {
    const one = await client()
    for (let seq = 1; seq <= 50; seq++) one.send('event', seq, { Name: `e${seq}`, Payload: null, Coalesce: true })
    for (let seq = 1; seq <= 50; seq++) expect(await one.next()).toEqual(OK(seq))
    expect(fake.calls.map(([, name]) => name)).toEqual(Array.from({ length: 50 }, (_, i) => `e${i + 1}`))
  })

  test('an answer carries the number of its request, to the last of 64 bits', async () => {
    const one = await client()
    one.send('stop', 0xffff_ffff_ffff_fffen, { Stop: 0 })
    expect(await one.next()).toEqual(OK(0xffff_ffff_ffff_fffen))
  })

  test('payloads of clients that know text alone arrive byte for byte', async () => {
    const one = await client()
    const bytes = Uint8Array.of(0xff, 0x00, 0xfe)
    const raw = Buffer.concat([
      Buffer.from('82a7436f6d6d616e64a56576656e74a353657101', 'hex'), // {Command: 'event', Seq: 1}
      Buffer.from('83a84e616d65', 'hex').subarray(0, 1), // a map of three
      Buffer.from('a44e616d65a178', 'hex'), // Name: 'x'
      Buffer.from('a75061796c6f6164a3', 'hex'), // Payload: text of three bytes
      bytes,
      Buffer.from('a8436f616c65736365c2', 'hex'), // Coalesce: false
    ])
    one.socket.write(raw)
    expect(await one.next()).toEqual(OK(1))
    expect(fake.calls).toEqual([['fire', 'x', Buffer.from(bytes).toString('latin1'), false]])
  })

  test('an error still has the body that the client reads after it', async () => {
    const one = await client()
    expect(await one.ask('join', 1, { Existing: ['192.0.2.1:1'], Replay: false })).toEqual({
      Seq: 1,
      Error: 'no member answered',
    })
    expect(await one.next()).toEqual({ Num: 0 })
    expect(await one.ask('list-keys', 2)).toMatchObject({ Error: expect.stringContaining('no symmetric keys') })
    expect(await one.next()).toEqual({ Messages: {}, Keys: {}, NumNodes: 0, NumErr: 0, NumResp: 0 })
    expect(await one.ask('get-coordinate', 3, { Node: 'nobody' })).toEqual(OK(3))
    expect(await one.next()).toMatchObject({ Ok: false })
    expect(await one.ask('members', 4)).toEqual(OK(4))
  })

  test('tags are passed on as they were given', async () => {
    const one = await client()
    expect(await one.ask('tags', 1, { Tags: { a: '1' }, DeleteTags: ['b'] })).toEqual(OK(1))
    expect(await one.ask('tags', 2, { Tags: null, DeleteTags: null })).toEqual(OK(2))
    expect(fake.calls).toEqual([
      ['changeTags', { a: '1' }, ['b']],
      ['changeTags', {}, []],
    ])
  })

  test('who leaves hears of it before the daemon ends', async () => {
    const one = await client()
    expect(await one.ask('leave', 1)).toEqual(OK(1))
    expect(fake.calls).toEqual([['leave'], ['stop']])
  })
})

describe('streams', () => {
  const tell = (name: string): void =>
    fake.happenings.tell({
      type: 'event',
      event: {
        ...{
          cursor: 1,
          author: fake.members[0]!.id,
          seq: 1,
          ltime: 5,
          name,
          payload: Buffer.from('p'),
          coalesce: true,
        },
        at: fake.backend.now(),
      },
    })
  const record = (name: string) => ({
    Event: 'user',
    LTime: 5,
    Name: name,
    Payload: new Uint8Array(Buffer.from('p')),
    Coalesce: true,
  })

  test('a stream tells what its filter lets through, under its own number, until it is stopped', async () => {
    const one = await client()
    expect(await one.ask('stream', 10, { Type: 'user:a' })).toEqual(OK(10))
    expect(await one.ask('stream', 11, { Type: 'user' })).toEqual(OK(11))
    expect(await one.ask('stream', 11, { Type: '*' })).toEqual({ Seq: 11, Error: 'Stream with given sequence exists' })
    expect(await one.ask('stream', 12, { Type: 'nonsense' })).toEqual({ Seq: 12, Error: 'Invalid event filter' })
    tell('a')
    expect([await one.next(), await one.next()]).toEqual([OK(10), record('a')])
    expect([await one.next(), await one.next()]).toEqual([OK(11), record('a')])
    expect(await one.ask('stop', 13, { Stop: 10 })).toEqual(OK(13))
    tell('a')
    expect([await one.next(), await one.next()]).toEqual([OK(11), record('a')])
    expect(await one.ask('stop', 14, { Stop: 11 })).toEqual(OK(14))
    tell('a')
    expect(await one.ask('stop', 15, { Stop: 99 })).toEqual(OK(15))
  })

  test('a client has a limited number of streams', async () => {
    const one = await client()
    for (let seq = 1; seq <= SERF_LIMITS.streams; seq++)
      expect(await one.ask('stream', seq, { Type: '*' })).toEqual(OK(seq))
    expect(await one.ask('stream', 1000, { Type: '*' })).toMatchObject({ Error: expect.stringContaining('stop one') })
  })

  test('a query can be responded to once, by the number that the stream gave it', async () => {
    const one = await client()
    await one.ask('stream', 1, { Type: 'query:load' })
    const responses: string[] = []
    fake.happenings.tell({ type: 'query', query: incoming('load', Buffer.from('now'), responses) })
    expect(await one.next()).toEqual(OK(1))
    const told = (await one.next()) as { ID: number }
    expect(told).toMatchObject({ Event: 'query', LTime: 7, Name: 'load' })
    expect(await one.ask('respond', 2, { ID: told.ID, Payload: Buffer.from('0.5') })).toEqual(OK(2))
    expect(responses).toEqual(['0.5'])
    expect(await one.ask('respond', 3, { ID: told.ID, Payload: Buffer.from('0.6') })).toMatchObject({
      Error: 'this node has responded already',
    })
    expect(await one.ask('respond', 4, { ID: told.ID + 1, Payload: Buffer.from('x') })).toMatchObject({
      Error: 'No pending queries matching ID',
    })
  })

  test('a query whose time is over cannot be responded to', async () => {
    const one = await client()
    await one.ask('stream', 1, { Type: 'query' })
    fake.happenings.tell({ type: 'query', query: incoming('load', Buffer.from(''), [], Date.now() - 1) })
    await one.next()
    const { ID } = (await one.next()) as { ID: number }
    expect(await one.ask('respond', 2, { ID, Payload: null })).toMatchObject({
      Error: 'No pending queries matching ID',
    })
  })

  test('the log is followed by one monitor, from the level asked for', async () => {
    const one = await client()
    expect(await one.ask('monitor', 1, { LogLevel: 'loud' })).toEqual({ Seq: 1, Error: 'Unknown log level: LOUD' })
    expect(await one.ask('monitor', 2, { LogLevel: 'warn' })).toEqual(OK(2))
    expect(await one.ask('monitor', 3, { LogLevel: 'info' })).toEqual({ Seq: 3, Error: 'Monitor already exists' })
    fake.log('error', 'the disk is full')
    expect(await one.next()).toEqual(OK(2))
    const { Log } = (await one.next()) as { Log: string }
    expect(Log).toMatch(/^\d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d \[ERR\] fleetd: the disk is full$/)
    expect(await one.ask('stop', 4, { Stop: 2 })).toEqual(OK(4))
    expect(fake.logListeners()).toBe(0)
  })

  test('a client that does not read what it asked for is cut off, and costs the others nothing', async () => {
    const listeners = countListeners(fake)
    const deaf = await client()
    await deaf.ask('stream', 1, { Type: '*' })
    const other = await client()
    await other.ask('monitor', 1, { LogLevel: 'info' })
    deaf.socket.pause()
    const payload = Buffer.alloc(64 * 1024, 'x')
    let told = 0
    const closed = (): boolean => {
      const before = told
      for (; told < before + 16; told++)
        fake.happenings.tell({
          type: 'event',
          event: {
            ...{ cursor: 1, author: fake.members[0]!.id, seq: 1, ltime: 5, name: 'x', payload, coalesce: true },
            at: fake.backend.now(),
          },
        })
      return listeners() === 0
    }
    expect(listeners()).toBe(1)
    await eventually('the deaf client to be cut off', closed, { everyMs: 5 })
    expect(await other.ask('members', 2)).toEqual(OK(2))
  })

  test('what a client listened to ends with its connection', async () => {
    const listeners = countListeners(fake)
    const one = await client()
    await one.ask('stream', 1, { Type: '*' })
    await one.ask('monitor', 2, { LogLevel: 'info' })
    expect(listeners()).toBe(1)
    one.close()
    await eventually('the stream to end', () => listeners() === 0 && fake.logListeners() === 0, { everyMs: 5 })
  })
})

describe('queries', () => {
  const asked = { FilterNodes: null, FilterTags: null, RequestAck: true, RelayFactor: 0, Timeout: 0, Payload: null }

  test('acks and responses follow the reply, and then the word that it is over', async () => {
    const one = await client()
    expect(await one.ask('query', 1, { ...asked, Name: 'up', Timeout: 1_500_000_000 })).toEqual(OK(1))
    const records: unknown[] = []
    for (let i = 0; i < 4; i++) {
      expect(await one.next()).toEqual(OK(1))
      records.push(await one.next())
    }
    expect(records).toMatchObject([
      { Type: 'ack', From: 'alpha' },
      { Type: 'ack', From: 'beta' },
      { Type: 'response', From: 'alpha', Payload: new Uint8Array(Buffer.from('re: \n')) },
      { Type: 'done', From: '' },
    ])
    expect(fake.calls).toEqual([['query', 'up', [], {}, true, 1500]])
  })

  test('a tag is looked for anywhere in the value, as Serf does it', async () => {
    const one = await client()
    await one.ask('query', 1, { ...asked, Name: 'up', FilterTags: { role: 'web' }, FilterNodes: ['alpha'] })
    const [[, , nodes, tags]] = fake.calls as [[unknown, unknown, string[], Record<string, string>]]
    expect(nodes).toEqual(['alpha'])
    const whole = new RegExp(`^(?:${tags.role})$`)
    expect(['web', 'webserver', 'my web', 'we'].map(value => whole.test(value))).toEqual([true, true, true, false])
  })

  test('what is refused is refused in the reply', async () => {
    fake.answer = async () => {
      throw new Error('the payload is too large')
    }
    const one = await client()
    expect(await one.ask('query', 1, { ...asked, Name: 'up' })).toEqual({ Seq: 1, Error: 'the payload is too large' })
    expect(await one.ask('query', 2, { ...asked, Name: '_serf_conflict' })).toMatchObject({
      Error: "Queries cannot contain the '_serf_' prefix",
    })
    expect(await one.ask('members', 3)).toEqual(OK(3))
  })

  test('a query ends with the connection that asked it', async () => {
    let aborted = false
    fake.answer = (_query, _on, signal) =>
      new Promise((_, fail) => {
        signal.addEventListener('abort', () => {
          aborted = true
          fail(signal.reason as Error)
        })
      })
    const one = await client()
    expect(await one.ask('query', 1, { ...asked, Name: 'up' })).toEqual(OK(1))
    one.close()
    await eventually('the query to be given up', () => aborted, { everyMs: 5 })
  })

  test('a client has a limited number of queries under way', async () => {
    fake.answer = () => new Promise(() => undefined)
    const one = await client()
    for (let seq = 1; seq <= SERF_LIMITS.queries; seq++)
      expect(await one.ask('query', seq, { ...asked, Name: 'up' })).toEqual(OK(seq))
    expect(await one.ask('query', 99, { ...asked, Name: 'up' })).toMatchObject({
      Error: expect.stringContaining('under way'),
    })
  })
})

describe('many', () => {
  test('hundreds of connections are served or turned away, and those that were served still are', async () => {
    const first = await client()
    const more = await Promise.all(
      Array.from({ length: SERF_LIMITS.clients + 50 }, () => client(rawClient(rpc.address))),
    )
    const greetings = await Promise.all(more.map(one => one.ask('handshake', 1, { Version: 1 })))
    expect(greetings.filter(answer => answer !== undefined)).toHaveLength(SERF_LIMITS.clients - 1)
    expect(await first.ask('members', 2)).toEqual(OK(2))
    for (const one of more) one.close()
    await eventually('room for another client', async () => {
      const again = await client(rawClient(rpc.address))
      return (await again.ask('handshake', 1, { Version: 1 })) !== undefined
    })
  })

  test('who only connects is let go', { timeout: 20_000 }, async () => {
    const silent = await client(rawClient(rpc.address))
    expect(await silent.next()).toBeUndefined()
  })
})

test('stopping ends every connection', async () => {
  const one = await client()
  await one.ask('stream', 1, { Type: '*' })
  await rpc.close()
  expect(await one.next()).toBeUndefined()
})

test('an address that is taken is refused with its name', async () => {
  const taken: Server = createServer()
  await new Promise<void>(done => taken.listen(0, '127.0.0.1', () => done()))
  const { port } = taken.address() as { port: number }
  await expect(
    createSerfRpc({ host: '127.0.0.1', port, token: undefined, backend: fake.backend, log }),
  ).rejects.toThrow(`cannot listen for Serf clients on 127.0.0.1:${port}`)
  await new Promise(done => taken.close(done))
})

/** How many listen to what happens. */
function countListeners(of: Fake): () => number {
  let count = 0
  const { listen } = of.happenings
  of.happenings.listen = listener => {
    const end = listen(listener)
    count += 1
    return () => {
      count -= 1
      end()
    }
  }
  return () => count
}
