import { type Digest, eraOf, millis, type NodeId, type Plan, type Statement } from '../../../protocol/index.ts'
import {
  ACT_WITHIN,
  countBits,
  hasFailed,
  type Intent,
  invariants,
  isOver,
  type LedgerValue,
} from '../../../rollout/index.ts'
import type { Host, World } from './world.ts'

/** Faults over, a generation must come to its end within ⌈N/K⌉ · (two deadlines: the new image's, and its way back) and this. */
const SLACK = 30_000

/** What is checked at every event, with every committed value, and at every flip. Each violation begins with the name of what it violates. */
export interface Watch {
  readonly violations: string[]
  readonly grants: number
  /** The newest committed value that anybody has learned of. */
  newest(): LedgerValue
  /** A plan that the operators mean: the only ones that may ever begin. */
  meant(plan: Statement<Plan>): void
  /** What an operator orders, and of which generation. */
  ordered(verb: string, generation: number): void
  wasOrdered(verb: string, generation: number): boolean
  /** What an operator lets the ledger go on from, after its voters were lost. */
  recovered(first: LedgerValue): void
  /** Somebody learned that this value is committed. */
  committed(value: LedgerValue, plan: (id: Digest | null) => Statement<Plan> | undefined, now: number): void
  /** A host begins to change what it runs, under its permit. */
  flips(host: Host, intent: Intent | null, plan: Statement<Plan> | undefined, now: number): void
  /** After every event. */
  look(world: World): void
  /** When all is over. */
  atEnd(world: World): void
}

export function createWatch(begin: LedgerValue, k: number): Watch {
  const violations: string[] = []
  const texts = new Map<string, string>()
  const owners = new Map<number, NodeId>()
  const meant = new Set<Digest>()
  const said = new Set<string>()
  const recoveries = new Set<number>()
  /** Committed values of the last seconds, with when they were learned, oldest first; never empty. */
  const recent: { at: number; value: LedgerValue }[] = [{ at: 0, value: begin }]
  let newest = begin
  let quietSince = 0
  /** Bitmap of the hosts that failed in a generation which is over. */
  const leftBehind: number[] = []
  let grants = 0
  const found = (text: string): void => void violations.push(text)

  /** What makes `value` of the value before it: by one step when its version follows, else by several. */
  const compare = (before: LedgerValue, value: LedgerValue, plan: Statement<Plan> | undefined): void => {
    if (value.generation < before.generation) found(`I4: generation ${value.generation} after ${before.generation}`)
    // What follows a recovery follows from what was left; that generations and tokens grow holds of it too.
    if (eraOf(value.epoch) !== eraOf(before.epoch)) {
      if (value.nextToken <= before.nextToken) found('I2: a recovery gives tokens again')
      if (value.generation <= before.generation) found(`I4: a recovery goes on from ${value.generation}`)
      if (![...recoveries].some(epoch => eraOf(epoch) === eraOf(value.epoch)))
        found('I3: nobody has ordered this recovery')
      return
    }
    if (value.plan !== before.plan) {
      if (value.plan === null || !meant.has(value.plan)) found(`I3: a plan has begun that no two operators meant`)
      if (value.generation <= before.generation)
        found(`I3: generation ${value.generation} has begun after ${before.generation}`)
      const next = value.version === before.version + 1
      if (next && !isOver(before.phase)) found(`I4: a generation has begun while another was ${before.phase}`)
      if (next && plan !== undefined && before.denied.includes(plan.body.image) && !plan.body.force)
        found('I6: a generation has begun for an image that is denied')
    }
    if (value.phase === 'aborted' && before.phase !== 'aborted' && !said.has(`abort ${value.generation}`))
      found(`I4: generation ${value.generation} is aborted, and nobody has said so`)
    const sameBefore = value.plan === before.plan
    for (const permit of value.permits) {
      if (permit.token < before.nextToken) continue
      if (sameBefore && plan !== undefined && permit.kind === 'replace' && hasFailed(before, plan.body))
        found(`I7: token ${permit.token} was granted past the failure limit`)
    }
  }

  return {
    violations,
    get grants() {
      return grants
    },
    newest: () => newest,
    meant: plan => void meant.add(plan.id),
    ordered: (verb, generation) => void said.add(`${verb} ${generation}`),
    recovered(first) {
      recoveries.add(first.epoch)
      said.add(`abort ${first.generation}`)
    },
    wasOrdered: (verb, generation) => said.has(`${verb} ${generation}`),

    committed(value, planOf, now) {
      const name = `${value.epoch}.${value.version}`
      const text = textOf(value)
      const known = texts.get(name)
      if (known === text) return
      if (known !== undefined) return found(`two values are committed as version ${name}: "${known}" and "${text}"`)
      texts.set(name, text)
      for (const damage of invariants(value)) found(`a value is unsound: ${damage}`)
      for (const { token, node } of value.permits) {
        const owner = owners.get(token)
        if (owner === undefined) grants += 1
        else if (owner !== node) found(`I2: token ${token} was granted to two nodes`)
        owners.set(token, node)
      }
      const isNewer = isAfter(value, newest)
      if (!isNewer) {
        // Learned late: it was the newest until what followed it was learned.
        const after = recent.findIndex(entry => isAfter(entry.value, value))
        if (after > 0) recent.splice(after, 0, { at: recent[after]!.at, value })
        return
      }
      compare(newest, value, planOf(value.plan))
      if (value.phase !== newest.phase || value.plan !== newest.plan) quietSince = now
      if (value.generation !== newest.generation)
        for (const [at, bits] of newest.failed.entries()) leftBehind[at] = (leftBehind[at] ?? 0) | bits
      newest = value
      recent.push({ at: now, value })
      while (recent.length > 1 && recent[1]!.at < now - 2 * ACT_WITHIN) recent.shift()
    },

    flips(host, intent, plan, now) {
      if (intent?.act !== 'replace') return found('I2: a host goes down with nothing on its disk that says so')
      const held = (value: LedgerValue): boolean =>
        value.permits.some(permit => permit.node === host.node && permit.token === intent.token)
      const current = recent
        .filter((_, at) => (recent[at + 1]?.at ?? now) >= now - ACT_WITHIN)
        .map(({ value }) => value)
      if (!current.some(held))
        return found(`I2: a host goes down under token ${intent.token}, which the register does not have`)
      if (plan === undefined) return found('I3: a host goes down for a plan that nobody has spread')
      const under = current.filter(value => held(value) && value.plan === intent.plan)
      if (under.length === 0) return found('I3: a host goes down for a plan that is not the newest')
      if (intent.kind === 'revert') return
      const { body } = plan
      if (host.clock() > body.notAfter + ACT_WITHIN)
        found('I3: a host goes down for a plan that has expired by its own clock')
      if (under.every(value => hasFailed(value, body))) found('I7: a host goes forward past the failure limit')
      if (under.every(value => value.denied.includes(body.image) && !body.force))
        found('I6: a denied image is activated')
    },

    look(world) {
      let disrupted = 0
      for (const host of world.all) {
        if (!host.disrupted || newest.fenced.includes(host.node)) continue
        disrupted += 1
        if (!newest.permits.some(({ node }) => node === host.node))
          found('I2: a host is out of service without a permit')
      }
      if (disrupted > k) found(`I1: ${disrupted} are disrupted and K is ${k}`)
      if (world.faulty || isOver(newest.phase) || newest.phase === 'paused') return
      const plan = world.plan(newest.plan)
      if (plan === undefined) return
      const since = Math.max(quietSince, world.calmSince)
      const rounds = Math.ceil(world.schedule.hosts / k)
      if (world.now - since > rounds * plan.body.deadline * 2 + SLACK)
        found(`I5: generation ${newest.generation} is ${newest.phase} for longer than ${rounds} rounds may take`)
    },

    atEnd(world) {
      const plan = world.plan(newest.plan)?.body
      if (plan === undefined || newest.phase === 'aborted') return
      // What an aborted generation left behind is not the next one's to take back; a recovery aborts what is under way, and its history begins anew.
      const aborted = recoveries.size > 0 || newest.history.some(past => past.end?.phase === 'aborted')
      if (newest.phase === 'rolled-back' && aborted) return
      const target = newest.phase === 'done' ? plan.image : plan.previous
      const astray = world.all.filter((host, at) => {
        const bit = (bits: ArrayLike<number>): boolean => ((bits[at >> 3] ?? 0) & (1 << (at & 7))) !== 0
        // Nor what failed in an earlier one and was taken back before its turn came.
        if (newest.phase === 'rolled-back' && bit(leftBehind)) return false
        return !bit(newest.failed) && !newest.fenced.includes(host.node) && host.current !== target
      })
      if (astray.length > 0)
        found(
          `I5: generation ${newest.generation} is ${newest.phase} and ${astray.length} of its hosts run something else`,
        )
      if (countBits(newest.failed) >= plan.maxFailed && newest.phase === 'done')
        found('I7: a generation is done past its failure limit')
    },
  }
}

const isAfter = (a: LedgerValue, b: LedgerValue): boolean =>
  a.epoch > b.epoch || (a.epoch === b.epoch && a.version > b.version)

/** All of a value that decides anything. */
function textOf(value: LedgerValue): string {
  const bits = (of: Uint8Array): string => Buffer.from(of).toString('hex')
  const permits = value.permits.map(({ token, node, kind }) => `${token}:${node.slice(-4)}:${kind}`)
  return `${value.generation} ${value.plan?.slice(0, 8)} ${value.phase}/${value.resumeTo} ${value.wave} ${value.nextToken} [${permits}] ${bits(value.ok)} ${bits(value.failed)} ${bits(value.writtenOff)} ${value.fenced.length} ${value.denied.length} ${value.voters.length} ${value.successors?.length} ${millis(value.progressAt)}`
}
