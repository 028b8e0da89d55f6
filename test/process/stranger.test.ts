import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { eventually } from '../support/wait.ts'

// What an outsider that runs this very program on the same LAN gets to know: everything that it logged at the most
// talkative level and everything that it wrote to its disk is searched for what only members may know.

let ours: Sandbox
let theirs: Sandbox
let fleet: Daemon[]

beforeAll(async () => {
  ours = await sandbox()
  theirs = await sandbox()
  fleet = await ours.fleet(3, index => ({
    mdns: true,
    name: `secretname${index}`,
    group: 'secretgroup',
    zone: 'secretzone',
  }))
}, 60_000)
afterAll(async () => {
  await ours?.close()
  await theirs?.close()
})

const members = async (daemon: Daemon): Promise<string[]> =>
  (await daemon.json<{ members: { name: string }[] }>('members')).members.map(member => member.name).sort()

const knows = (daemon: Daemon): string => daemon.log() + files(daemon.dir)
/** All that stands in a directory. A file that is renamed meanwhile has its content read under the new name. */
const files = (dir: string): string => {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
      .map(name => join(dir, name))
      .filter(path => statSync(path).isFile())
      .map(path => readFileSync(path, 'latin1'))
      .join('\n')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return files(dir)
    throw error
  }
}

const SECRETS = ['secretname', 'secretgroup', 'secretzone']

test('a daemon of another fleet that dials every member learns nothing and appears nowhere', async () => {
  const foreigner = await theirs.start({
    name: 'foreigner',
    init: true,
    mdns: true,
    join: fleet.map(daemon => `127.0.0.1:${daemon.port}`),
    flags: ['--log-level', 'trace'],
  })
  await eventually('the foreigner to have been turned away', () =>
    /stranger|turned away|not admitted|refused/i.test(foreigner.log()),
  )
  expect(await members(foreigner)).toEqual(['foreigner'])
  for (const daemon of fleet) expect(await members(daemon)).toEqual(['secretname0', 'secretname1', 'secretname2'])
  for (const secret of SECRETS) expect(knows(foreigner)).not.toContain(secret)
  for (const daemon of fleet) expect(knows(daemon)).not.toContain('foreigner')
}, 60_000)

test('a daemon with no certificate at all learns nothing and appears nowhere', async () => {
  const stray = await theirs.start({
    name: 'stray',
    mdns: true,
    join: [`127.0.0.1:${fleet[0]!.port}`],
    flags: ['--log-level', 'trace'],
  })
  const listed = await stray.ctl('--format', 'json', 'members')
  for (const secret of SECRETS) expect(listed.stdout + listed.stderr).not.toContain(secret)
  for (const secret of SECRETS) expect(knows(stray)).not.toContain(secret)
  for (const daemon of fleet) expect(await members(daemon)).toEqual(['secretname0', 'secretname1', 'secretname2'])
}, 60_000)

test('the search itself would find a secret: a member knows and tells all of them', async () => {
  const member = fleet[1]!
  const told = knows(member) + (await member.ctl('--format', 'json', 'members')).stdout
  for (const secret of SECRETS) expect(told).toContain(secret)
})
