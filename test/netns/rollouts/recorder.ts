import { existsSync, readFileSync } from 'node:fs'
import { request } from 'node:http'
import type { LedgerView } from '../../../protocol/index.ts'
import { auditEntries } from '../../support/audit.ts'
import type { Daemon } from '../../support/daemons.ts'
import type { Happening, Sighting, Trace } from './checker.ts'

/** How often somebody is asked what the ledger says. Milliseconds. */
const LOOK_EVERY = 150
/** A daemon that is stopped or has no quorum is not waited for. Milliseconds. */
const PATIENCE = 4_000
const EVENTS = ['permit-taken', 'permit-returned', 'disrupt-begin', 'disrupt-end'] as const

/** Gathers what the processes of a fleet write down of themselves, and what its ledger is seen to say meanwhile. */
export interface Recorder {
  /** Every daemon process that there ever was on a host. */
  follow(daemon: Daemon): void
  /** What the test itself does to a member. */
  note(happening: Happening): void
  /** Before a data directory is removed: what its audit log says is kept. */
  rescue(daemon: Daemon): void
  /** The image that the program of a member said last that it runs. */
  running(name: string): string | undefined
  /** What went before is none of the trace. */
  begin(): void
  trace(k: number): Trace
  stop(): void
}

/** `programs`: the file that the program of a member writes to. */
export function createRecorder(group: string, programs: (name: string) => string): Recorder {
  const daemons: Daemon[] = []
  const noted: Happening[] = []
  const rescued = new Map<string, Happening[]>()
  const sightings: Sighting[] = []
  let next = 0
  let since = 0
  const timer = setInterval(() => {
    const there = daemons.filter(({ process }) => process.exitCode === null && process.signalCode === null)
    const daemon = there[next++ % there.length]
    if (daemon !== undefined)
      look(daemon, group).then(
        seen => sightings.push(seen),
        () => undefined, // no quorum, or no daemon
      )
  }, LOOK_EVERY)

  const audits = (daemon: Daemon): Happening[] => [...(rescued.get(daemon.dir) ?? []), ...readAudit(daemon)]
  return {
    follow: daemon => void daemons.push(daemon),
    note: happening => void noted.push(happening),
    rescue: daemon => void rescued.set(daemon.dir, audits(daemon)),
    running(name) {
      const last = readProgram(name, programs(name)).at(-1)
      return last?.what === 'running' ? last.image : undefined
    },
    begin() {
      since = Date.now()
    },
    trace(k) {
      // A host's later daemons go on in the same audit log and beside the same program.
      const hosts = [...new Map(daemons.map(daemon => [daemon.name, daemon])).values()]
      const happenings = [
        ...noted,
        ...daemons.flatMap(readLog),
        ...hosts.flatMap(audits),
        ...hosts.flatMap(({ name }) => readProgram(name, programs(name))),
      ]
      return {
        k,
        happenings: happenings.filter(({ at }) => at >= since),
        sightings: sightings.filter(({ asked }) => asked >= since),
      }
    },
    stop: () => clearInterval(timer),
  }
}

function look({ name, socket }: Daemon, group: string): Promise<Sighting> {
  const asked = Date.now()
  return new Promise((done, fail) => {
    const path = `/v1/ledger/${group}`
    const call = request({ socketPath: socket, path, agent: false, signal: AbortSignal.timeout(PATIENCE) }, answer => {
      let body = ''
      answer.setEncoding('utf8').on('data', text => {
        body += text
      })
      answer.once('error', fail)
      answer.once('end', () => {
        const answered = Date.now()
        if (answer.statusCode !== 200) return fail(new Error(body))
        const value = JSON.parse(body) as LedgerView
        const { epoch, version, generation, nextToken } = value
        const permits = value.permits.map(({ token }) => token)
        // A node is named as the member that was asked knows it.
        const content = JSON.stringify(value, (key, field) => (key === 'name' ? undefined : field))
        done({ by: name, asked, answered, epoch, version, generation, nextToken, permits, content })
      })
    })
    call.once('error', fail).end()
  })
}

/** What a daemon logged at the moment of doing it. */
function readLog(daemon: Daemon): Happening[] {
  const found: Happening[] = []
  for (const line of daemon.log().split('\n')) {
    const what = EVENTS.find(event => line.includes(`"event":"${event}"`))
    if (what === undefined) continue
    const { time, token } = JSON.parse(line) as { time: string; token: number }
    found.push({ node: daemon.name, at: Date.parse(time), what, token })
  }
  return found
}

function readAudit({ name, dir }: Daemon): Happening[] {
  return auditEntries(dir).flatMap(({ kind, at, detail }) => {
    if (kind !== 'activated' && kind !== 'rolled-back') return []
    const { token, generation, image = '' } = detail
    if (token === undefined || generation === undefined) return []
    return { node: name, at, what: 'activated', token: Number(token), generation: Number(generation), image }
  })
}

/** Lines of `running MILLISECONDS IMAGE` and `stopped MILLISECONDS`. */
function readProgram(node: string, file: string): Happening[] {
  if (!existsSync(file)) return []
  return readFileSync(file, 'utf8')
    .split('\n')
    .flatMap(line => {
      const [what, at, image = ''] = line.split(' ')
      if (what === 'running') return { node, at: Number(at), what, image }
      return what === 'stopped' ? { node, at: Number(at), what } : []
    })
}
