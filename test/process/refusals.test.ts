import { execFile, execFileSync } from 'node:child_process'
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  type Digest,
  type FleetId,
  formatToken,
  foundFleet,
  generateKeyPair,
  INVITE,
  type KeyPair,
  type Millis,
  NO_GATES,
  type NodeId,
  PLAN,
  type Plan,
  parseKeyFile,
  sign,
} from '../../protocol/index.ts'
import { type Daemon, FLEETCTL, FLEETD, type Sandbox, sandbox } from '../support/daemons.ts'
import { rotChunk } from '../support/store.ts'
import { eventually } from '../support/wait.ts'

// What an operator, a disk or a stranger can get wrong: each is told in one sentence, with the exit code for it, and nothing is lost.

let box: Sandbox
let daemon: Daemon
let fleet: FleetId
let self: NodeId

beforeAll(async () => {
  box = await sandbox()
  daemon = await box.start({ name: 'solid', init: true, flags: ['--tag', 'keep=this'] })
  ;({ fleet, id: self } = await daemon.json<{ fleet: FleetId; id: NodeId }>('info'))
}, 60_000)
afterAll(() => box?.close())

interface Ended {
  readonly code: number | null
  readonly stderr: string
}

/** Runs a program that is expected to refuse. */
const run = (program: string, ...args: string[]): Promise<Ended> =>
  new Promise(done =>
    execFile(process.execPath, [program, ...args], { env: { ...process.env, NODE_OPTIONS: '' } }, (error, _, stderr) =>
      done({ code: error === null ? 0 : (error.code as unknown as number), stderr }),
    ),
  )
const sentence = ({ stderr }: Ended): string => {
  expect(stderr.trim().split('\n')).toHaveLength(1)
  return stderr.trim()
}
const stillItself = async (): Promise<void> => {
  const { tags, fleet: now } = await daemon.json<{ tags: Record<string, string>; fleet: string }>('info')
  expect({ tags, now }).toEqual({ tags: { keep: 'this' }, now: fleet })
}
const post = (path: string, body: unknown): Promise<{ status: number; code: string; detail: string }> =>
  new Promise((done, fail) => {
    const call = request(
      { socketPath: daemon.socket, path, method: 'POST', headers: { 'content-type': 'application/json' } },
      response => {
        let text = ''
        response.on('data', part => {
          text += part
        })
        response.on('end', () => done({ status: response.statusCode!, ...JSON.parse(text) }))
      },
    )
    call.on('error', fail)
    call.end(JSON.stringify(body))
  })

test('an unknown flag of either program is named, with the one that was meant', async () => {
  const refused = await run(FLEETD, '--data-dri', '/tmp')
  expect(refused.code).toBe(2)
  expect(sentence(refused)).toMatch(/^fleetd: .*--data-dri.*--data-dir/)
  const control = await run(FLEETCTL, 'members', '--stauts', 'alive')
  expect(control.code).toBe(2)
  expect(sentence(control)).toMatch(/^fleetctl: members: .*--stauts.*--status/)
})

test('YAML that is none is named with its file and line', async () => {
  const file = join(box.dir, 'broken.yaml')
  writeFileSync(file, 'name: a\nlayers: {app: [\n')
  const refused = await run(FLEETD, '--config', file, '--check-config')
  expect(refused.code).toBe(2)
  expect(sentence(refused)).toMatch(/broken\.yaml:[23]/)
})

test('a key that is no operator of the fleet signs nothing', async () => {
  const key = join(box.dir, 'other.key')
  expect((await run(FLEETCTL, '--key', key, 'key', 'new')).code).toBe(0)
  const refused = await run(FLEETCTL, '--api', `unix:${daemon.socket}`, '--key', key, 'invite')
  expect(refused.code).toBe(5)
  expect(sentence(refused)).toMatch(/other\.key.*operator/)
})

test('an invite that has expired, one of another fleet and one that was cut off admit nobody, and each says why', async () => {
  const { token } = await daemon.json<{ token: string }>('invite', '--ttl', '1ms')
  const expired = await run(FLEETD, ...newcomer('late'), '--join', token)
  expect(expired.code).toBe(5)
  expect(sentence(expired)).toMatch(/the invite expired on 20/)

  const foreign = foundFleet(generateKeyPair(), self, Date.now() as Millis)
  const stranger = await daemon.ctl('join', formatToken({ ...foreign, bootstrap: [] }))
  expect(stranger.code).toBe(5)
  expect(sentence(stranger)).toMatch(/fleet/)
  // Signed with a key of its own in the name of our fleet: the chain in the token tells.
  const invite = sign(INVITE, fleet, Date.now() as Millis, foreign.invite.body, [generateKeyPair()])
  const { chain } = await daemon.json<{ chain: string[] }>('policy', 'show')
  const policies = chain.map(text => Uint8Array.from(Buffer.from(text, 'base64url')))
  const forged = formatToken({ chain: policies, invite, key: foreign.key, bootstrap: [] })
  const refused = await run(FLEETD, ...newcomer('forger'), '--join', forged)
  expect(refused.code).toBe(5)
  expect(sentence(refused)).toMatch(/not signed by an operator/)

  const cut = await run(FLEETD, ...newcomer('cut'), '--join', (await invited()).slice(0, -20))
  expect(cut.code).toBe(2)
  expect(sentence(cut)).toMatch(/damaged; copy it whole/)
  expect((await daemon.json<{ members: unknown[] }>('members')).members).toHaveLength(1)
})
const invited = async (): Promise<string> => (await daemon.json<{ token: string }>('invite', '--ttl', '1h')).token
const newcomer = (name: string): string[] => [
  ...['--data-dir', join(box.dir, name), '--listen', '127.0.0.1:0', '--no-mdns', '--log-level', 'error'],
]

test('a plan that an operator did not sign, one that was changed and one of an older generation change nothing', async () => {
  const operator = parseKeyFile(readFileSync(box.operatorKey, 'utf8'))
  const started = await post('/v1/rollouts', signed(plan(1), operator))
  expect(started.status).toBe(200)
  expect((await daemon.ctl('rollout', 'abort', '--group', 'default')).code).toBe(0)
  const before = await daemon.json('ledger', 'show', 'default')

  expect(await post('/v1/rollouts', signed(plan(2), generateKeyPair()))).toMatchObject({
    status: 403,
    detail: expect.stringContaining('not signed by an operator'),
  })
  const changed = signed(plan(2), operator)
  const bytes = Buffer.from(changed.statement, 'base64url')
  bytes[Math.floor(bytes.length / 2)]! ^= 1
  const tampered = await post('/v1/rollouts', { statement: bytes.toString('base64url') })
  expect([403, 422]).toContain(tampered.status)
  expect(await post('/v1/rollouts', signed({ ...plan(1), reason: 'once more' }, operator))).toMatchObject({
    status: 409,
    detail: expect.stringContaining('generation 1 is not newer than generation 1'),
  })
  expect(await post('/v1/rollouts', signed({ ...plan(2), notAfter: 1 as Millis }, operator))).toMatchObject({
    detail: expect.stringMatching(/expired|over/),
  })
  expect(await daemon.json('ledger', 'show', 'default')).toEqual(before)
})
const plan = (generation: number): Plan => ({
  ...NO_GATES,
  group: 'default',
  generation,
  layer: 'app',
  image: 'ab'.repeat(32) as Digest,
  version: 'shop:v1',
  previous: null,
  roster: [self],
  strategy: 'rolling',
  canary: 0,
  maxUnavailable: 1,
  minHealthy: 0,
  deadline: 60_000,
  maxFailed: 1,
  notAfter: (Date.now() + 60_000) as Millis,
  force: false,
  reason: '',
})
const signed = (body: Plan, key: KeyPair): { statement: string } => ({
  statement: Buffer.from(sign(PLAN, fleet, Date.now() as Millis, body, [key]).bytes).toString('base64url'),
})

test('a chunk that was changed on the disk is found by verify, and named', async () => {
  const file = join(box.dir, 'app.bin')
  writeFileSync(file, Buffer.alloc(300_000, 'some content '))
  const { digest } = await daemon.json<{ digest: string }>('image', 'build', file, '--name', 'app', '--version', '1')
  const victim = rotChunk(daemon.dir)
  const verified = await daemon.ctl('image', 'verify', digest)
  expect(verified.code).toBe(1)
  expect(verified.stdout + verified.stderr).toContain(victim.slice(0, 12))
})

test('a peer that sends garbage instead of a handshake is cut off, and the daemon goes on', async () => {
  for (const bytes of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    Buffer.from('\x13/multistream/1.0.0\n\xff\xff\xff\xff\x0f'),
  ]) {
    await new Promise<void>(done => {
      const socket = connect(daemon.port, '127.0.0.1', () => socket.write(bytes))
      socket.resume()
      socket.on('error', () => {})
      socket.on('close', () => done())
    })
  }
  await stillItself()
}, 30_000)

test('a second daemon on the same directory, and one on a taken port, are refused by name', async () => {
  const second = await run(FLEETD, '--data-dir', daemon.dir, '--listen', '127.0.0.1:0', '--log-level', 'error')
  expect(second.code).toBe(6)
  expect(sentence(second)).toMatch(new RegExp(`${daemon.dir}.*${daemon.process.pid}`))
  const taken = await run(FLEETD, ...newcomer('taken'), '--listen', `127.0.0.1:${daemon.port}`)
  expect(taken.code).toBe(8)
  expect(sentence(taken)).toMatch(new RegExp(`cannot listen on 127.0.0.1:${daemon.port}: the port is taken`))
  await stillItself()
})

test('a directory that a newer fleetd has written is not touched', async () => {
  const dir = join(box.dir, 'newer')
  const started = await box.start({ name: 'newer', init: true })
  started.kill('SIGTERM')
  await started.exited()
  writeFileSync(join(dir, 'format'), '99\n')
  const before = readdirSync(dir)
  const refused = await run(FLEETD, '--data-dir', dir, '--listen', '127.0.0.1:0', '--log-level', 'error')
  expect(refused.code).toBe(5)
  expect(sentence(refused)).toMatch(/newer/)
  expect(readdirSync(dir)).toEqual(before)
}, 30_000)

test('a full disk refuses an image in one sentence, and takes it once there is space', async context => {
  const dir = join(box.dir, 'small')
  mkdirSync(dir)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', dir], { stdio: 'ignore' })
  } catch {
    return context.skip('this user cannot mount a small file system')
  }
  try {
    const small = await box.start({ name: 'small', init: true, flags: ['--quota', '90%', '--min-free', '0'] })
    const { bavail, bsize } = statfsSync(dir)
    const filler = join(dir, 'filler')
    writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - 3 * 2 ** 20)))
    const file = join(box.dir, 'large.bin')
    for (let part = 0; part < 8; part++) appendFileSync(file, Buffer.from(generateNoise(part)))
    const build = (): ReturnType<Daemon['ctl']> =>
      small.ctl('image', 'build', file, '--name', 'large', '--version', '1', '--kind', 'file')
    const refused = await build()
    expect(refused.code).toBe(1)
    expect(sentence(refused)).toMatch(/disk is full|no space|free some space/i)
    execFileSync('rm', [filler])
    await eventually('the daemon to take the image', async () => (await build()).code === 0)
    expect((await small.ctl('image', 'verify', 'large:1')).code).toBe(0)
    small.kill('SIGKILL')
    await small.exited()
  } finally {
    execFileSync('umount', ['--lazy', dir])
  }
}, 60_000)
/** Bytes without repetition, the same each time. */
const generateNoise = (seed: number): Uint8Array => {
  const bytes = new Uint8Array(2 ** 20)
  let state = seed + 1
  for (let at = 0; at < bytes.length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
