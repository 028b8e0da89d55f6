import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Millis, POLICY, parseKeyFile, sign, withPolicy } from '../../protocol/index.ts'
import type { Fake } from '../daemon/api/fake-service.ts'
import { type Bench, bench } from './support.ts'

// A fleet whose policy demands two operators' signatures, of three.

let ctl: Bench
let fake: Fake
let second: string
let third: string
beforeAll(async () => {
  ctl = await bench()
  fake = await ctl.claimed()
  await ctl.json('image', 'build', ctl.dir, '--name', 'shop', '--version', 'v2')
  second = join(ctl.dir, 'second.key')
  third = join(ctl.dir, 'third.key')
  for (const file of [second, third]) await ctl.json('--key', file, 'key', 'new')
  const [one, ...others] = [ctl.keyFile, second, third].map(file => parseKeyFile(readFileSync(file, 'utf8')))
  const { policy, chain, fleet } = fake.authority!
  const next = sign(
    POLICY,
    fleet,
    Date.now() as Millis,
    {
      ...policy,
      version: 2,
      previous: chain[0]!.id,
      threshold: 2,
      operators: [one!, ...others].map(key => key.publicKey),
    },
    [one!, others[0]!],
  )
  fake.authority = withPolicy(fake.authority!, next.bytes)
})
afterAll(() => ctl.close())

const start = (...more: string[]): string[] => ['rollout', 'start', '--layer', 'app', '--image', 'shop:v2', ...more]

test('one signature is not enough, and it is said what to do', async () => {
  const { code, stderr } = await ctl.run(start('--detach'))
  expect({ code, stderr }).toMatchObject({
    code: 5,
    stderr: expect.stringMatching(/policy 2 demands 2 operators' signatures.*--sign FILE.*rollout approve FILE/),
  })
  expect(fake.plans).toEqual([])
})

test('the plan goes from one operator to another, and the last signature submits it', async () => {
  const file = join(ctl.dir, 'plan.signed')
  expect(await ctl.json(...start('--sign', file, '--reason', 'friday'))).toEqual({ file, signed: 1, needed: 2 })
  expect((await ctl.run(start('--sign', file))).stderr).toMatch(/exists already/)
  const shown = await ctl.run(['rollout', 'approve', file, '--dry-run'])
  expect(shown.stdout).toMatch(/plan 1 for group web: layer app to shop:v2.*\n.*at most 1 down at once/)
  expect(shown.stdout).toMatch(/reason: friday\n.*(alpha|beta|gamma), /)
  // The same operator again is still one.
  expect(await ctl.json('rollout', 'approve', file)).toMatchObject({ signed: 1, needed: 2 })
  expect(fake.plans).toEqual([])
  expect(await ctl.json('rollout', 'approve', file, '--detach', '--key', second)).toMatchObject({ generation: 1 })
  expect(fake.plans).toMatchObject([{ generation: 1, reason: 'friday' }])
})

test('a key that is no operator of the fleet, a changed file and a file that is no plan are refused', async () => {
  fake.push({ phase: 'done' })
  const file = join(ctl.dir, 'other.signed')
  await ctl.json(...start('--sign', file))
  const stranger = join(ctl.dir, 'stranger.key')
  await ctl.json('--key', stranger, 'key', 'new')
  expect(await ctl.run(['rollout', 'approve', file, '--key', stranger])).toMatchObject({ code: 5 })
  const bytes = Buffer.from(readFileSync(file, 'utf8').trim(), 'base64url')
  bytes[bytes.length - 1]! ^= 1
  writeFileSync(file, bytes.toString('base64url'))
  expect(await ctl.run(['rollout', 'approve', file, '--key', third])).toMatchObject({
    code: 5,
    stderr: expect.stringContaining('does not verify'),
  })
  writeFileSync(file, 'hello')
  expect(await ctl.run(['rollout', 'approve', file, '--key', third])).toMatchObject({ code: 2 })
  expect(fake.plans).toHaveLength(1)
})
