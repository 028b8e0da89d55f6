// How soon a fleet of twenty is of one mind: after the last start, after a kill -9, and after a stop of three seconds.
import { get } from 'node:http'
import { type Daemon, sandbox } from '../test/support/daemons.ts'
import { eventually } from '../test/support/wait.ts'
import { report } from './report.ts'

const COUNT = 20
const KILLS = 5
const STOP_MS = 3_000
const TARGET = 3

type Statuses = ReadonlyMap<string, string>

const box = await sandbox()
try {
  const flags = ['--profile', 'lan', '--log-level', 'info']
  const daemons = await box.fleet(COUNT - 1, () => ({ flags }))
  const { token } = await daemons[0]!.json<{ token: string }>('invite', '--ttl', '1h')
  const lastStart = performance.now()
  daemons.push(await box.start({ name: `n${COUNT - 1}`, join: [token], flags }))
  await until('everybody to see twenty', daemons, seen => [...seen.values()].filter(isAlive).length === COUNT)
  const converged = since(lastStart)

  const detected: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = daemons[3 + kill * 3]!
    const others = daemons.filter(daemon => daemon !== victim)
    const killed = performance.now()
    victim.kill('SIGKILL')
    await until(`${victim.name} to be failed`, others, seen => seen.get(victim.name) === 'failed')
    detected.push(since(killed))
    daemons[3 + kill * 3] = await victim.restart()
    await until(`${victim.name} to be back`, others, seen => seen.get(victim.name) === 'alive')
  }

  const sleeper = daemons[7]!
  sleeper.kill('SIGSTOP')
  await new Promise(resolve => setTimeout(resolve, STOP_MS))
  sleeper.kill('SIGCONT')
  const continued = performance.now()
  await until('the sleeper to be alive', daemons, seen => isAlive(seen.get(sleeper.name)))
  const refuted = since(continued)

  const worst = Math.max(...detected)
  report('members', [
    figure('twenty seen by all, after the last start', converged),
    { what: `kill -9 to failed at all, mean of ${KILLS}`, value: mean(detected), unit: 's' },
    figure(`kill -9 to failed at all, longest of ${KILLS}`, worst),
    { what: 'alive at all again, after a stop of 3 s', value: refuted, unit: 's' },
  ])
} finally {
  await box.close()
}

function figure(what: string, value: number) {
  return { what, value, unit: 's', target: `within ${TARGET}`, held: value <= TARGET }
}

function since(began: number): number {
  return (performance.now() - began) / 1000
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function isAlive(status: string | undefined): boolean {
  return status === 'alive'
}

/** Asks each daemon until it says so, and then asks it no more: what it costs to ask is kept off what is measured. */
async function until(what: string, daemons: readonly Daemon[], holds: (seen: Statuses) => boolean): Promise<void> {
  await Promise.all(
    daemons.map(daemon =>
      eventually(`${what} at ${daemon.name}`, async () => holds(await statuses(daemon)), { seconds: 60, everyMs: 50 }),
    ),
  )
}

function statuses(daemon: Daemon): Promise<Statuses> {
  return new Promise((done, fail) => {
    get({ socketPath: daemon.socket, path: '/v1/members' }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', part => {
        text += part
      })
      response.on('end', () => {
        const { members } = JSON.parse(text) as { members: { name: string; status: string }[] }
        done(new Map(members.map(member => [member.name, member.status])))
      })
    }).on('error', fail)
  })
}
