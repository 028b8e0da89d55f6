import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { LedgerView, NodeId, RolloutStatusView } from '../../../protocol/index.ts'
import { type CtlResult, type Daemon, type Sandbox, sandbox } from '../../support/daemons.ts'
import { createWorld, type Host } from '../../support/netns.ts'
import { eventually } from '../../support/wait.ts'
import { addressOf, allSeeAlive, hostsOn, on } from '../support.ts'
import { disruptionsOf, examine, mostAtOnce, outagesOf } from './checker.ts'
import { createRecorder, type Recorder } from './recorder.ts'

/** How many may be down at once in every rollout here. */
export const K = 2
const GROUP = 'web'
/** What a rollout may take, in seconds: the bound ends a broken run. */
const PATIENCE = 150

/** The host's program: it says when it runs and when it was told to stop, in milliseconds of the wall clock. */
const PROGRAM = `
t() { date +%s%3N; }
trap 'echo "stopped $(t)" >> "$TRACE"; exit 0' TERM
echo "running $(t) $FLEET_IMAGE" >> "$TRACE"
while :; do sleep 3600 & wait $!; done
`

/** Real daemons, each on a host of its own, that replace what they run while the network and the hosts fail. */
export interface RolloutFleet {
  readonly hosts: readonly Host[]
  /** The daemon that runs on each host now. */
  readonly daemons: Daemon[]
  readonly recorder: Recorder
  readonly box: Sandbox
  /** Makes the next image, at this daemon, and gives its name, which no rollout had before. */
  image(at: number): Promise<string>
  /** `rollout start` of a new image, given to this daemon; resolves once it is under way. */
  begin(at: number): Promise<string>
  /** With a budget of K, unless flags say otherwise. */
  start(at: number, image: string, ...flags: string[]): Promise<CtlResult>
  status(at: number): Promise<RolloutStatusView>
  ledger(at: number): Promise<LedgerView>
  verb(at: number, ...args: string[]): Promise<void>
  /** Waits until the ledger, as this daemon reads it, is so. */
  until(at: number, what: string, holds: (status: RolloutStatusView) => boolean): Promise<RolloutStatusView>
  done(at: number): Promise<RolloutStatusView>
  ids(at: number): Promise<Map<string, NodeId>>
  /** Indexes of the hosts whose daemons vote. */
  voters(at: number): Promise<number[]>
  /** The first of these hosts that has drained under a permit since now, and its token. */
  nextHolder(among: readonly number[]): Promise<{ index: number; token: number }>
  /** Nothing passes between these sides, either way. */
  cut(...sides: readonly (readonly number[])[]): void
  heal(): void
  /** Kills everything that runs on a host: it lost its power. */
  powerOff(index: number): Promise<void>
  /** A daemon on that host again, with what its disk has. */
  powerOn(index: number): Promise<void>
  /** An operator's word that this host counts no more; `node`: under which identity, where its name has another by now. */
  writeOff(at: number, index: number, node?: NodeId): Promise<void>
  /** Nothing that any member did breaks what is promised; and at least so many were replaced, K of them together at times. */
  judge(replacements: number): void
  close(): Promise<void>
}

/** `program`: another build of the daemon. */
export async function rolloutFleet(count: number, options: { program?: string } = {}): Promise<RolloutFleet> {
  const world = createWorld()
  const box = await sandbox()
  const hosts = hostsOn(world, world.lan(), count)
  const traceOf = (name: string): string => join(box.dir, `${name}.trace`)
  const recorder = createRecorder(GROUP, traceOf)
  const daemons = await box.fleet(count, index => ({
    ...options,
    ...on(hosts[index]!),
    group: GROUP,
    layers: {
      app: {
        driver: 'process',
        command: ['sh', '-c', PROGRAM],
        env: { TRACE: traceOf(hosts[index]!.name) },
        stopTimeout: '2s',
        // Long enough that a host can be stopped in the middle of it.
        hooks: { drain: 'sleep 0.3' },
        checks: [{ name: 'runs', exec: 'true', interval: '200ms', timeout: '5s', failures: 3 }],
      },
    },
  }))
  for (const daemon of daemons) recorder.follow(daemon)
  let images = 0

  const fleet: RolloutFleet = {
    hosts,
    daemons,
    recorder,
    box,
    async image(at) {
      images += 1
      const dir = join(box.dir, `v${images}`)
      mkdirSync(dir)
      writeFileSync(join(dir, 'version'), `${images}`)
      await daemons[at]!.json('image', 'build', dir, '--name', 'shop', '--version', `v${images}`)
      return `shop:v${images}`
    },
    start: (at, image, ...flags) =>
      daemons[at]!.ctl(
        ...['rollout', 'start', '--group', GROUP, '--layer', 'app', '--image', image, '--detach'],
        ...['--min-healthy', '300ms', '--deadline', '20s', '--timeout', '60s'],
        ...(flags.length > 0 ? flags : ['--max-unavailable', `${K}`]),
      ),
    async begin(at) {
      const image = await fleet.image(at)
      took(
        await eventually('the plan to be taken', async () => {
          const answer = await fleet.start(at, image)
          return answer.code !== 1 && answer
        }),
      )
      return image
    },
    status: at => daemons[at]!.json<RolloutStatusView>('rollout', 'status', '--group', GROUP),
    ledger: at => daemons[at]!.json<LedgerView>('ledger', 'show', GROUP),
    verb: async (at, ...args) => took(await daemons[at]!.ctl('rollout', ...args, '--group', GROUP)),
    async until(at, what, holds) {
      let seen: RolloutStatusView | undefined
      return eventually(
        what,
        async () => {
          seen = await fleet.status(at)
          return holds(seen) && seen
        },
        { seconds: PATIENCE, everyMs: 250, seen: () => seen },
      )
    },
    done: at => fleet.until(at, 'the rollout to be done', ({ phase }) => phase === 'done'),
    async ids(at) {
      const { members } = await daemons[at]!.json<{ members: { name: string; id: NodeId; status: string }[] }>(
        'members',
      )
      return new Map(members.map(({ name, id }) => [name, id]))
    },
    async voters(at) {
      const { voters } = await fleet.ledger(at)
      return voters.map(({ name }) => hosts.findIndex(host => host.name === name))
    },
    async nextHolder(among) {
      const before = new Map(among.map(index => [index, daemons[index]!.log().length]))
      const drains = /"token":(\d+),"event":"disrupt-begin"/
      return eventually(
        'a host to drain',
        () => {
          for (const index of among) {
            const token = drains.exec(daemons[index]!.log().slice(before.get(index)))?.[1]
            if (token !== undefined) return { index, token: Number(token) }
          }
          return undefined
        },
        { seconds: PATIENCE, everyMs: 10 },
      )
    },
    cut(...sides) {
      for (const side of sides) {
        const others = sides.filter(other => other !== side).flat()
        for (const index of side) hosts[index]!.deafTo(...others.map(addressOf))
      }
    },
    heal() {
      for (const host of hosts) host.hearAll()
    },
    async powerOff(index) {
      const daemon = daemons[index]!
      const pids = hosts[index]!.run('ip', 'netns', 'pids', hosts[index]!.space).split('\n').filter(Boolean)
      for (const pid of pids) kill(Number(pid))
      await daemon.exited()
    },
    async powerOn(index) {
      daemons[index] = await daemons[index]!.restart()
      recorder.follow(daemons[index]!)
    },
    async writeOff(at, index, node) {
      const { name } = hosts[index]!
      const gone = node ?? (await fleet.ids(at)).get(name)!
      recorder.note({ node: name, at: Date.now(), what: 'written-off' })
      took(await daemons[at]!.ctl('node', 'write-off', gone, '--reason', 'it is gone'))
    },
    judge(replacements) {
      const trace = recorder.trace(K)
      expect(examine(trace)).toEqual([])
      const disruptions = disruptionsOf(trace)
      const most = mostAtOnce(disruptions).count
      const counts = `${disruptions.length} disruptions, ${outagesOf(trace).length} outages, ${trace.sightings.length} sightings`
      console.log(`judged: ${counts}, ${most} at once at most`)
      expect(disruptions.length).toBeGreaterThanOrEqual(replacements)
      expect(outagesOf(trace).length).toBeGreaterThanOrEqual(replacements)
      expect(most).toBe(K)
    },
    async close() {
      recorder.stop()
      await box.close()
      world.close()
    },
  }

  try {
    await allSeeAlive(daemons)
    took(await fleet.start(0, await fleet.image(0), '--strategy', 'at-once'))
    await fleet.done(0)
    await eventually('the ledger to have five voters', async () => (await fleet.voters(0)).length === 5, {
      seconds: 60,
    })
    await eventually('every program to run', () => hosts.every(({ name }) => runs(traceOf(name))))
    recorder.begin()
  } catch (error) {
    await fleet.close()
    throw error
  }
  return fleet
}

const took = ({ code, stderr }: CtlResult): void =>
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' })

function runs(trace: string): boolean {
  try {
    return readFileSync(trace, 'utf8').includes('running')
  } catch {
    return false
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended meanwhile.
  }
}

/** Removes all that a host had on its disk. */
export const wipe = (daemon: Daemon): void => rmSync(daemon.dir, { recursive: true, force: true })
