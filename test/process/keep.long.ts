import { chmodSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  AUDIT_HEAD,
  type AuditList,
  type AuditPage,
  type AuditVerified,
  type EvidenceList,
  type EvidenceView,
  type FleetId,
  generateKeyPair,
  type KeyPair,
  type MemberView,
  type Millis,
  NO_GATES,
  type NodeId,
  open,
  PLAN,
  type Plan,
  parseKeyFile,
  sign,
  toDocument,
  type Why,
} from '../../protocol/index.ts'
import type { Daemon } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'
import { NAMES, type Shops, shops } from './shops.ts'

// What keeps immutable honest, end to end with real daemons in one fleet: `npm run test:keep`.

let shop: Shops
let daemons: Daemon[]
beforeAll(async () => {
  shop = await shops()
  daemons = [...shop.daemons]
}, 60_000)
afterAll(() => shop?.box.close())

const audit = (daemon: Daemon, ...args: string[]) => daemon.json<AuditList>('audit', 'list', '--limit', '500', ...args)
const kindsOf = async (node: string): Promise<string[]> =>
  (await audit(daemons[0]!, node)).entries.map(({ kind }) => kind)
const verify = async (...args: string[]): Promise<{ code: number; logs: AuditVerified['logs'] }> => {
  const { code, stdout } = await daemons[0]!.ctl('--format', 'json', '--timeout', '60s', 'audit', 'verify', ...args)
  return { code, logs: (JSON.parse(stdout) as AuditVerified).logs }
}
const folderOf = (daemon: Daemon): string => join(daemon.dir, 'audit')
const newest = (daemon: Daemon): string => join(folderOf(daemon), readdirSync(folderOf(daemon)).sort().at(-1)!)

/** The newest head that the others can show of this node's log. */
async function keptHead(node: string): Promise<number> {
  const { stdout } = await daemons[0]!.ctl('audit', 'export', node)
  const { fleet, heads } = JSON.parse(stdout.slice(0, stdout.indexOf('\n'))) as AuditPage
  return Math.max(0, ...heads.map(head => open(AUDIT_HEAD, fleet as FleetId, Buffer.from(head, 'base64url')).body.seq))
}

function submit(daemon: Daemon, statement: Uint8Array): Promise<{ status: number; detail: string }> {
  return new Promise((done, fail) => {
    const asked = request({
      ...{ socketPath: daemon.socket, method: 'POST', path: '/v1/rollouts', agent: false },
      headers: { 'content-type': 'application/json' },
    })
    asked.once('error', fail)
    asked.once('response', response => {
      let text = ''
      response.on('data', part => {
        text += part
      })
      response.once('end', () => done({ status: response.statusCode!, ...(JSON.parse(text) as { detail: string }) }))
    })
    asked.end(JSON.stringify({ statement: toDocument(statement) }))
  })
}

describe('the audit log', () => {
  test('tells each step of a replacement on each node, and why a node runs what it runs', async () => {
    expect((await shop.start('v1', '--strategy', 'at-once')).code).toBe(0)
    expect((await shop.start('v2', '--max-unavailable', '2', '--reason', 'new prices')).code).toBe(0)
    for (const name of NAMES)
      await eventually(`${name} to have told it`, async () => {
        const kinds = await kindsOf(name)
        const last = kinds.lastIndexOf('plan-accepted')
        const steps = ['permit-taken', 'activated', 'healthy', 'permit-returned']
        const told = kinds.slice(last).filter(kind => steps.includes(kind))
        return told.join() === steps.join()
      })
    const { causes } = await daemons[0]!.json<Why>('why', 'n3')
    const told = causes[0]!.steps.map(({ kind, text }) => `${kind}: ${text}`)
    expect(told.at(-1)).toMatch(/^plan-accepted: plan 2 brings layer app of 4 nodes to shop:v2: new prices$/)
    expect(told.some(text => /^activated: shop:v2 runs in the place of shop:v1$/.test(text))).toBe(true)
    const { stdout } = await daemons[0]!.ctl('why', 'n3')
    expect(stdout).toMatch(/n3, layer app\n.*\n(.*\n)*.*because plan 2 .*new prices \(by [0-9a-f]{12}\)/)
  }, 120_000)

  test('tells what was refused and why: forged, expired, replayed and outdated plans', async () => {
    const draft = await daemons[0]!.json<{ fleet: FleetId }>('policy', 'show')
    const operator = await operatorKey()
    const image = await shop.status()
    const plan: Plan = {
      ...{ ...NO_GATES, group: 'web', generation: 3, layer: 'app', image: image.image!.digest, version: 'shop:v2' },
      ...{ previous: image.target, roster: await rosterOf(), strategy: 'rolling', canary: 0, maxUnavailable: 1 },
      ...{ minHealthy: 100, deadline: 10_000, maxFailed: 1, notAfter: (Date.now() + 60_000) as Millis, force: false },
      reason: 'not this one',
    }
    const made = (change: Partial<Plan>, key: KeyPair) =>
      sign(PLAN, draft.fleet, Date.now() as Millis, { ...plan, ...change }, [key]).bytes
    const cases: [string, Uint8Array, RegExp][] = [
      ['forged', made({}, generateKeyPair()), /not signed by an operator/],
      ['expired', made({ notAfter: 1_000 as Millis }, operator), /expired on 1970/],
      [
        'of another group',
        made({ group: 'db', generation: 1, previous: null }, operator),
        /n\d, which is of group web/,
      ],
      ['outdated', made({ generation: 1 }, operator), /generation 1 is not newer than generation 2/],
    ]
    for (const daemon of daemons)
      for (const [what, bytes, reason] of cases) {
        const before = await shop.status()
        const answer = await submit(daemon, bytes)
        expect({ what, ok: answer.status < 400, detail: answer.detail }).toEqual({
          ...{ what, ok: false, detail: expect.stringMatching(reason) },
        })
        const { entries } = await audit(daemon, '--kind', 'plan-refused')
        expect(entries.at(-1)?.text).toMatch(reason)
        expect((await shop.status()).generation).toBe(before.generation)
      }
    shop.forget()
    expect(shop.disruptions()).toEqual([])
  }, 60_000)

  test('is good on all nodes, and compared with heads that others keep', async () => {
    await eventually('every log to be known to others', async () => {
      const { code, logs } = await verify()
      return code === 0 && logs.length === NAMES.length && logs.every(log => log.witnesses >= 3 && log.heads >= 1)
    })
    const file = join(shop.box.dir, 'n1.audit')
    writeFileSync(file, (await daemons[0]!.ctl('audit', 'export', 'n1')).stdout)
    expect((await daemons[0]!.ctl('--api', 'unix:/nowhere', 'audit', 'verify', '--file', file)).code).toBe(0)
    writeFileSync(file, readFileSync(file, 'utf8').replace('new prices', 'old prices'))
    expect((await daemons[0]!.ctl('audit', 'verify', '--file', file)).stderr).toBe('')
    expect((await daemons[0]!.ctl('audit', 'verify', '--file', file)).code).toBe(1)
  }, 60_000)

  test('names node and entry of one flipped byte', async () => {
    const [, n1] = daemons as [Daemon, Daemon]
    const { entries } = await audit(n1)
    const chosen = entries.find(({ kind }) => kind === 'permit-taken')!
    const content = readFileSync(newest(n1))
    const at = content.indexOf(`"seq":${chosen.seq},`) + 30
    content[at]! ^= 4
    writeFileSync(newest(n1), content)
    const { code, stdout } = await daemons[0]!.ctl('audit', 'verify')
    expect(code).toBe(1)
    expect(stdout).toContain(`n1: entry ${chosen.seq}: it is not what was written`)
    expect(stdout).toContain('n2: good')
    content[at]! ^= 4
    writeFileSync(newest(n1), content)
    expect((await verify('n1')).code).toBe(0)
  }, 60_000)

  test('survives kill -9 with a torn entry, which it says', async () => {
    const n2 = daemons[2]!
    n2.kill('SIGKILL')
    await n2.exited()
    writeFileSync(newest(n2), '0123 half an entr', { flag: 'a' })
    daemons[2] = await n2.restart()
    const { entries } = await audit(daemons[2])
    expect(entries.slice(-2).map(({ kind }) => kind)).toContain('log-torn')
    expect((await verify('n2')).logs[0]).toMatchObject({ name: 'n2', problems: [] })
  }, 60_000)

  test('shows with the heads of others that its end was cut off, also when it grows on', async () => {
    const n3 = daemons[3]!
    const last = (await audit(n3)).entries.at(-1)!.seq
    await eventually('others to keep its end', async () => (await keptHead('n3')) >= last)
    n3.kill('SIGTERM')
    await n3.exited()
    const lines = readFileSync(newest(n3), 'utf8').split('\n')
    const cut = lines.slice(
      0,
      lines.findIndex(line => line.includes(`"seq":${last - 2},`)),
    )
    truncateSync(newest(n3), Buffer.byteLength(cut.map(line => `${line}\n`).join('')))
    daemons[3] = await n3.restart()
    await eventually('n0 to be linked with it again', async () => {
      const { logs } = await verify('n3')
      return logs[0]?.problems.some(({ problem }) => /its end was cut off|was rewritten/.test(problem))
    })
    await eventually('another to tell that it goes on where it was not', async () => {
      const { entries } = await audit(daemons[1]!, '--kind', 'log-conflict')
      return entries.some(({ text }) => /does not fit what it signed before/.test(text))
    })
  }, 90_000)
})

const slotOf = (daemon: Daemon): string => {
  const folder = join(daemon.dir, 'layers/app')
  const { current } = JSON.parse(readFileSync(join(folder, 'slots.json'), 'utf8')) as { current: string }
  return join(folder, 'slots', current)
}
const taintOf = async (name: string): Promise<readonly string[]> => {
  const { members } = await daemons[0]!.json<{ members: MemberView[] }>('members')
  return members.find(member => member.name === name)!.taint
}
const marks = async (daemon: Daemon): Promise<string[]> =>
  (await audit(daemon)).entries
    .filter(({ kind }) => ['taint', 'drift', 'hotfix'].includes(kind))
    .map(({ kind, detail }) => `${kind} ${detail.why} ${detail.state}`)

describe('what runs', () => {
  test('is compared with its image: what was changed by hand taints the node, which puts its image in place afresh', async () => {
    const n1 = daemons[1]!
    const slot = slotOf(n1)
    expect((await daemons[0]!.ctl('drift', 'n1', '--scan')).stdout).toMatch(/is its image: 1 file/)
    shop.forget()
    chmodSync(join(slot, 'version'), 0o644)
    writeFileSync(join(slot, 'version'), 'by hand')
    const { code, stdout } = await daemons[0]!.ctl('drift', 'n1', '--scan')
    expect({ code, stdout }).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/content +version\n.*marked \(drift\)/),
    })
    await eventually(
      'its image to be in place afresh',
      async () => slotOf(n1) !== slot && (await taintOf('n1')).length === 0,
    )
    expect(readFileSync(join(slotOf(n1), 'version'), 'utf8')).not.toBe('by hand')
    expect((await daemons[0]!.ctl('drift', 'n1', '--scan')).code).toBe(0)
    expect((await marks(n1)).slice(-2)).toEqual(['drift drift on', 'drift drift over'])
    await eventually('it to have given its permit back', () => shop.disruptions().length === 1)
    expect(shop.disruptions().map(({ name }) => name)).toEqual(['n1'])
  }, 90_000)

  test('is replaced when an operator says that it is tainted, and only an operator can', async () => {
    const n2 = daemons[2]!
    const slot = slotOf(n2)
    const other = join(shop.box.dir, 'other.key')
    await daemons[0]!.ctl('key', 'new', '--key', other)
    const forged = await daemons[0]!.ctl('--key', other, 'taint', 'n2', '--reason', 'x')
    expect({ code: forged.code, stderr: forged.stderr }).toMatchObject({
      code: 5,
      stderr: expect.stringMatching(/no operator/),
    })
    expect((await daemons[0]!.ctl('taint', 'n2', '--reason', 'logged in during the incident')).code).toBe(0)
    await eventually(
      'its image to be in place afresh',
      async () => slotOf(n2) !== slot && (await taintOf('n2')).length === 0,
    )
    const told = (await audit(n2, '--kind', 'taint')).entries
    expect(told.at(-2)).toMatchObject({
      text: 'logged in during the incident',
      by: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const { causes } = await daemons[0]!.json<Why>('why', 'n2')
    expect(causes.map(({ layer }) => layer)).toEqual(['app'])
  }, 90_000)

  test('is open for a hotfix until its time is over, and then clean again by itself', async () => {
    const n3 = daemons[3]!
    const slot = slotOf(n3)
    const fix = (...args: string[]) => daemons[0]!.ctl('hotfix', ...args)
    expect((await fix('start', 'n3', '--layer', 'app', '--ttl', '1h', '--reason', 'ticket 812')).stdout).toMatch(
      /is open/,
    )
    writeFileSync(join(slot, 'version'), 'by hand')
    await eventually('it to be tainted', async () => (await taintOf('n3')).join() === 'hotfix')
    expect((await daemons[0]!.ctl('drift', 'n3', '--scan')).stdout).toMatch(
      /marked \(hotfix\).*ticket 812; to be replaced at/,
    )
    expect((await fix('list')).stdout).toMatch(/n3 +app .*ticket 812/)
    expect((await daemons[0]!.ctl('members')).stdout).toMatch(/TAINT/)
    expect((await fix('extend', 'n3', '--layer', 'app', '--ttl', '4s')).code).toBe(0)
    expect(slotOf(n3)).toBe(slot)
    await eventually(
      'its image to be in place afresh',
      async () => slotOf(n3) !== slot && (await taintOf('n3')).length === 0,
    )
    expect(readFileSync(join(slotOf(n3), 'version'), 'utf8')).not.toBe('by hand')
    expect((await fix('list')).stdout).toMatch(/no node has a hotfix/)
  }, 90_000)

  test('is clean again at once when an operator clears its hotfix', async () => {
    const n3 = daemons[3]!
    const slot = slotOf(n3)
    const fix = (...args: string[]) => daemons[0]!.ctl('hotfix', ...args)
    expect((await fix('start', 'n3', '--layer', 'app', '--ttl', '1h', '--reason', 'ticket 813')).code).toBe(0)
    writeFileSync(join(slot, 'version'), 'by hand')
    await eventually('it to be tainted', async () => (await taintOf('n3')).join() === 'hotfix')
    expect((await fix('clear', 'n3', '--layer', 'app')).code).toBe(0)
    await eventually(
      'its image to be in place afresh',
      async () => slotOf(n3) !== slot && (await taintOf('n3')).length === 0,
    )
    expect(readFileSync(join(slotOf(n3), 'version'), 'utf8')).not.toBe('by hand')
    expect((await fix('list')).stdout).toMatch(/no node has a hotfix/)
  }, 90_000)

  test('goes first in the next rollout where it is tainted, and is replaced though it runs that image', async () => {
    const { image } = await shop.status()
    const hotfix = async (name: string): Promise<void> => {
      const { code } = await daemons[0]!.ctl('hotfix', 'start', name, '--layer', 'app', '--ttl', '1h', '--reason', 'x')
      expect(code).toBe(0)
      await eventually('it to be tainted', async () => (await taintOf(name)).join() === 'hotfix')
    }
    const before = daemons.map(slotOf)
    await hotfix('n2')
    const [, version = ''] = image!.version.split(':')
    expect((await shop.start(version)).code).toBe(0)
    expect(daemons.map((daemon, at) => slotOf(daemon) === before[at])).toEqual([true, true, false, true])
    await eventually('its taint to be over', async () => (await taintOf('n2')).length === 0)
    await hotfix('n1')
    expect((await shop.start(version === 'v1' ? 'v2' : 'v1', '--strategy', 'canary')).code).toBe(0)
    const tokens = await Promise.all(
      daemons.map(async daemon => Number((await audit(daemon, '--kind', 'permit-taken')).entries.at(-1)!.detail.token)),
    )
    expect(tokens.indexOf(Math.min(...tokens))).toBe(1)
  }, 120_000)

  test('leaves evidence behind at two others before its slot is given up: what was changed, and how it ended', async () => {
    const list = await eventually('every bundle to have its copies', async () => {
      const { evidence } = await daemons[0]!.json<EvidenceList>('evidence', 'list')
      return evidence.length > 0 && evidence.every(({ holders }) => holders.length >= 3) && evidence
    })
    const drifted = list.find(({ name, reason }) => name === 'n1' && reason.startsWith('drift:'))!
    const { evidence } = await daemons[3]!.json<EvidenceView>('evidence', 'get', drifted.digest.slice(0, 12))
    expect(evidence).toMatchObject({ node: drifted.node, layer: 'app', cause: 'marked', health: { health: 'passing' } })
    const [changed] = evidence.drift!.differences
    expect(Buffer.from(changed!.content!, 'base64').toString()).toBe('by hand')

    // An image that is not well on n2: its canary goes back, and what it left behind is at others although its node is gone.
    writeFileSync(shop.sickness('n2'), '')
    const { image } = await shop.status()
    expect(
      (await daemons[0]!.ctl('hotfix', 'start', 'n2', '--layer', 'app', '--ttl', '1h', '--reason', 'x')).code,
    ).toBe(0)
    await eventually('it to be tainted', async () => (await taintOf('n2')).join() === 'hotfix')
    const other = image!.version === 'shop:v1' ? 'v2' : 'v1'
    expect((await shop.start(other, '--strategy', 'canary', '--deadline', '2s')).code).toBe(3)
    rmSync(shop.sickness('n2'))
    const failed = await eventually('what failed to be kept', async () => {
      const { evidence: all } = await daemons[0]!.json<EvidenceList>('evidence', 'list', 'n2')
      const found = all.find(({ cause }) => cause === 'failed')
      return found !== undefined && found.holders.length >= 3 && found
    })
    expect(failed).toMatchObject({ version: `shop:${other}`, reason: expect.stringMatching(/not healthy within 2 s/) })
    daemons[2]!.kill('SIGKILL')
    await daemons[2]!.exited()
    await eventually('it to be given by another', async () => {
      const found = await daemons[0]!.ctl('evidence', 'get', failed.digest.slice(0, 12))
      return found.code === 0 && /not healthy within 2 s/.test(found.stdout)
    })
    daemons[2] = await daemons[2]!.restart()
  }, 120_000)

  test('is told where it is not what the group should run', async () => {
    await eventually('all to run what they should', async () => (await daemons[0]!.ctl('divergence')).code === 0)
    daemons[3]!.kill('SIGTERM')
    await daemons[3]!.exited()
    const n3 = await eventually('it to be known as gone', async () => {
      const { members } = await daemons[0]!.json<{ members: MemberView[] }>('members')
      const gone = members.find(({ name }) => name === 'n3')
      return gone?.status === 'failed' && gone
    })
    const next = n3.layers[0]!.version === 'shop:v1' ? 'v2' : 'v1'
    expect((await shop.start(next, '--force', '--max-unavailable', '2')).code).toBe(0)
    const { code, stdout } = await daemons[0]!.ctl('divergence')
    expect({ code, stdout }).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/n3 runs shop:v\d for .*: it is failed/),
    })
    daemons[3] = await daemons[3]!.restart()
  }, 120_000)

  test('does not outlive its maximum age', async () => {
    const slot = slotOf(daemons[1]!)
    const app = { driver: 'process', command: ['sleep', '3600'], stopTimeout: '1s', maxAge: '10s' }
    daemons[1] = await daemons[1]!.restart({ layers: { app } })
    await eventually('its image to be in place afresh', () => slotOf(daemons[1]!) !== slot)
    await eventually('it to tell so', async () =>
      (await marks(daemons[1]!)).join().includes('taint age on,taint age over'),
    )
  }, 90_000)
})

async function operatorKey(): Promise<KeyPair> {
  return parseKeyFile(readFileSync(shop.box.operatorKey, 'utf8'), '')
}

async function rosterOf(): Promise<NodeId[]> {
  const { members } = await daemons[0]!.json<{ members: { id: NodeId }[] }>('members')
  return members.map(({ id }) => id)
}
