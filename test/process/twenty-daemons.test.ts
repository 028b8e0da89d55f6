import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, type Sandbox, sandbox } from '../support/daemons.ts'
import { fetchFrom } from '../support/http.ts'
import { eventually } from '../support/wait.ts'

const COUNT = 20

let box: Sandbox
let daemons: Daemon[]

beforeAll(async () => {
  box = await sandbox()
  daemons = await box.fleet(COUNT, () => ({ flags: ['--profile', 'lan'] }))
}, 180_000)
afterAll(() => box?.close())

// Asked without fleetctl: twenty of its processes for every look take the processors from the twenty daemons that are looked at.
const statuses = async ({ socket }: Daemon): Promise<Map<string, string>> => {
  const { status, body } = await fetchFrom(socket, '/v1/members')
  expect(status).toBe(200)
  const { members } = JSON.parse(body) as { members: { name: string; status: string }[] }
  return new Map(members.map(member => [member.name, member.status]))
}

test('twenty daemons joined through one address all see twenty alive members', async () => {
  await eventually(
    'every daemon to see twenty alive',
    async () => {
      for (const daemon of daemons) {
        const seen = [...(await statuses(daemon)).values()]
        if (seen.length !== COUNT || seen.some(status => status !== 'alive')) return false
      }
      return true
    },
    { seconds: 30 },
  )
}, 60_000)

test('a daemon that is stopped for three seconds and continued is failed at nobody in the end', async () => {
  const sleeper = daemons[7]!
  sleeper.kill('SIGSTOP')
  // The length of the stop is what the test is about; nothing is assumed to have happened by its end.
  await new Promise(resolve => setTimeout(resolve, 3_000))
  sleeper.kill('SIGCONT')
  await eventually('everybody to see it alive', async () => {
    for (const daemon of daemons) if ((await statuses(daemon)).get(sleeper.name) !== 'alive') return false
    return true
  })
}, 60_000)

test('a daemon killed with -9 is failed at all others, and alive again after its restart', async () => {
  const victim = daemons[11]!
  const others = daemons.filter(daemon => daemon !== victim)
  victim.kill('SIGKILL')
  await victim.exited()
  await eventually('all others to see it failed', async () => {
    for (const daemon of others) if ((await statuses(daemon)).get(victim.name) !== 'failed') return false
    return true
  })
  daemons[11] = await victim.restart()
  await eventually('all others to see it alive again', async () => {
    for (const daemon of others) if ((await statuses(daemon)).get(victim.name) !== 'alive') return false
    return true
  })
}, 90_000)

test('a daemon that leaves is left, not failed, at all others', async () => {
  const leaver = daemons[COUNT - 1]!
  const others = daemons.slice(0, COUNT - 1)
  leaver.kill('SIGINT')
  expect(await leaver.exited()).toBe(0)
  await eventually('all others to see that it left', async () => {
    for (const daemon of others) if ((await statuses(daemon)).get(leaver.name) !== 'left') return false
    return true
  })
}, 60_000)
