import type { FleetService } from '../../../daemon/api/index.ts'
import { createMemberChanges, inParts } from '../../../daemon/member-changes.ts'
import { scrapeTargets } from '../../../daemon/services/index.ts'
import {
  type Address,
  type Ask,
  type Authority,
  authorityFrom,
  type Checkup,
  createAuditCheck,
  type Digest,
  ENDORSEMENT,
  type EventRecord,
  type Evidence,
  FleetError,
  generateKeyPair,
  type ImageDetail,
  type Info,
  type InviteToken,
  isPublisher,
  type KeptLayer,
  type MarkOrder,
  type MemberView,
  type Millis,
  type Monitored,
  type NodeId,
  nodeIdOf,
  type Order,
  open,
  openMarkOrder,
  openOrder,
  openPlan,
  openRecovery,
  type Plan,
  parseToken,
  type QueryAnswerView,
  type Recovery,
  type RolloutHistory,
  type RolloutStatusView,
  readLine,
  type ServiceInstance,
  sha256,
  withPolicy,
  withRevocation,
} from '../../../protocol/index.ts'
import { manifestOf } from '../../support/manifest.ts'

/** A daemon's state without a daemon: signatures are really checked, everything else is set by the test. */
export interface Fake {
  readonly service: FleetService
  readonly id: NodeId
  authority: Authority | undefined
  members: MemberView[]
  services: ServiceInstance[]
  images: Map<Digest, ImageDetail>
  plans: Plan[]
  orders: Order[]
  /** What `watch` and `rollout` tell, newest last; `push` adds to it. */
  status: RolloutStatusView
  history: RolloutHistory['generations']
  checkup: Checkup
  push(change: Partial<RolloutStatusView>): void
  events: EventRecord[]
  /** Delivers an event, to those that follow too. */
  deliver(name: string, payload?: Uint8Array, coalesce?: boolean): EventRecord
  denied: Digest[]
  revoked: NodeId[]
  /** The last that was taken. */
  recovery: Recovery | undefined
  left: boolean
  token: InviteToken | undefined
  damaged: Digest[]
  /** Queries that were asked, and what they are answered with. */
  asked: Ask[]
  answers: QueryAnswerView[]
  /** Nodes that were made to leave: `name`, or `name pruned`. */
  dismissed: string[]
  /** What `monitor` tells at once; it then goes on until its caller is gone. */
  happened: Monitored[]
  /** Orders about what nodes run. */
  marks: MarkOrder[]
  /** The lines of its audit log. */
  log: string[]
  /** Thrown by the next call of anything, once. */
  failNext: Error | undefined
  /** While set, `members` does not answer. */
  hang: Promise<unknown> | undefined
  aborted: number
}

export const nodeId = (): NodeId => nodeIdOf(generateKeyPair().publicKey)

export function member(name: string, change: Partial<MemberView> = {}): MemberView {
  return {
    id: nodeId(),
    name,
    addrs: ['/ip4/192.0.2.10/tcp/7946' as Address],
    status: 'alive',
    class: 'cloud',
    zone: 'z1',
    group: 'web',
    tags: {},
    epoch: 1,
    services: [],
    layers: [{ layer: 'app', digest: null, version: 'shop:v1', state: 'running', progress: 1 }],
    health: 'passing',
    reason: '',
    taint: [],
    rttMs: 0.61,
    estimatedRttMs: 0.7,
    version: '0.1.0',
    since: 1_700_000_000_000 as Millis,
    ...change,
  }
}

const IDLE: RolloutStatusView = {
  group: 'web',
  generation: 0,
  phase: 'idle',
  image: null,
  target: null,
  total: 0,
  ok: 0,
  failed: 0,
  pending: 0,
  permits: [],
  waves: [],
  reason: '',
}

/** A host with which all is well. */
const CHECKUP: Checkup = {
  at: 1_700_000_000_000 as Millis,
  wall: 1_700_000_000_000 as Millis,
  disk: { path: '/var/lib/fleetd', used: 2 ** 30, quota: 2 ** 33, free: 2 ** 34, minFree: 2 ** 30 },
  healthScore: 0,
  damagedChunks: 0,
  links: 2,
  twin: null,
  peers: [],
}

const LOST = nodeIdOf(generateKeyPair().publicKey)
/** What an operator would sign while one voter does not answer. */
export const RECOVERED: Recovery = {
  ...{ group: 'web', epoch: 1_000_007, voters: [nodeIdOf(generateKeyPair().publicKey)], lost: [LOST], fenced: [LOST] },
  ...{ members: [{ node: nodeIdOf(generateKeyPair().publicKey), zone: 'a' }], version: 8, generation: 4 },
  ...{ nextToken: 1_000_009, targets: {}, denied: [], at: 1_700_000_000_000 as Millis, reason: '' },
}

/** A layer that is open for a hotfix, and differs in one place. */
const KEPT: KeptLayer = {
  layer: 'app',
  image: 'ab'.repeat(32) as Digest,
  version: 'shop:v1',
  since: 1_700_000_000_000 as Millis,
  until: null,
  marks: [
    {
      ...{ why: 'hotfix', reason: 'ticket 812', by: 'cd'.repeat(32) },
      at: 1_700_000_000_000 as Millis,
      due: 1_700_000_060_000 as Millis,
    },
  ],
  compared: {
    ...{ at: 1_700_000_000_000 as Millis, files: 3, bytes: 2048, total: 1, error: null },
    differences: [{ path: 'lib/prices.js', what: 'content' }],
  },
}

const EVIDENCE: Evidence = {
  ...{ format: 'fleetd/evidence/1', node: nodeId(), name: 'alpha', layer: 'app', slot: 'a', version: 'shop:v1' },
  ...{ image: KEPT.image!, at: 1_700_000_000_000 as Millis, cause: 'failed', reason: 'http 500' },
  program: { state: 'backoff', reason: 'exit code 3' },
  health: { health: 'failing', reason: 'http 500' },
  log: 'listening\ncannot read prices',
  drift: { total: 1, differences: [{ path: 'lib/prices.js', what: 'content', content: 'eA==' }] },
}

export function fakeService(): Fake {
  const id = nodeId()
  const listeners = new Set<() => void>()
  const tags: Record<string, string> = { role: 'web' }

  const demand = (): Authority => {
    if (fake.authority === undefined) throw new FleetError('unclaimed', 'this daemon belongs to no fleet yet')
    return fake.authority
  }
  const info = (): Info => ({
    id,
    name: 'alpha',
    version: '0.1.0',
    fleet: fake.authority?.fleet ?? null,
    class: 'cloud',
    zone: 'z1',
    group: 'web',
    tags,
    epoch: 1,
    services: [],
    addresses: ['/ip4/192.0.2.10/tcp/7946' as Address],
    api: ['unix:/run/fleetd.sock'],
    dataDir: '/var/lib/fleetd',
    taint: [],
    pid: process.pid,
    startedAt: 1_700_000_000_000 as Millis,
  })
  const find = (ref: string): ImageDetail => {
    const image = [...fake.images.values()].find(
      image => image.digest.startsWith(ref) || `${image.name}:${image.version}` === ref,
    )
    if (image === undefined) throw new FleetError('not-found', `no image ${ref}; see: fleetctl image list`)
    return image
  }
  const trip = (): void => {
    const error = fake.failNext
    fake.failNext = undefined
    if (error !== undefined) throw error
  }

  const service: FleetService = {
    services(name) {
      trip()
      return { services: fake.services.filter(({ service }) => name === undefined || service === name) }
    },
    scrapeTargets(name) {
      trip()
      return scrapeTargets(fake.services.filter(({ service }) => name === undefined || service === name))
    },
    async fireEvent({ name, payload, coalesce }) {
      trip()
      const { author, seq, ltime, cursor } = fake.deliver(name, payload, coalesce)
      return { author, seq, ltime, cursor }
    },
    async *events({ since = 0, follow }, signal) {
      trip()
      let at = since
      while (!signal.aborted) {
        const next = fake.events.find(event => event.cursor > at)
        if (next !== undefined) {
          at = next.cursor
          yield next
          continue
        }
        if (!follow) return
        await new Promise<void>(done => {
          const wake = (): void => {
            listeners.delete(wake)
            done()
          }
          listeners.add(wake)
          signal.addEventListener('abort', wake, { once: true })
        })
      }
      fake.aborted += 1
    },
    info: () => {
      trip()
      return info()
    },
    version: () => ({ version: '0.1.0', api: 1, node: process.version }),
    async checkup() {
      trip()
      return fake.checkup
    },
    readiness: () => ({ ready: fake.authority !== undefined, reason: fake.authority === undefined ? 'unclaimed' : '' }),
    async members() {
      trip()
      await fake.hang
      return { members: fake.members }
    },
    async *watchMembers(signal) {
      trip()
      let wake = (): void => undefined
      const onPush = (): void => wake()
      listeners.add(onPush)
      signal.addEventListener('abort', onPush)
      const changes = createMemberChanges()
      try {
        for (let first = true; !signal.aborted; first = false) {
          const woken = new Promise<void>(done => {
            wake = done
          })
          yield* inParts(changes(fake.members), first)
          if (!signal.aborted) await woken
        }
      } finally {
        listeners.delete(onPush)
        fake.aborted += 1
      }
    },
    rtt(from, to) {
      const view = (name: string): MemberView => {
        const found = fake.members.find(each => each.name === name || each.id === name)
        if (found === undefined) throw new FleetError('not-found', `no member ${name}`)
        return found
      }
      const [a, b] = [view(from), view(to ?? fake.id)]
      const near = [a, b].find(each => each.id !== fake.id)!
      const measured = [a, b].some(each => each.id === fake.id)
      if (near.estimatedRttMs === null) throw new FleetError('not-found', `${near.name} has no network coordinate yet`)
      return {
        from: { node: a.id, name: a.name },
        to: { node: b.id, name: b.name },
        rttMs: measured ? near.rttMs! : near.estimatedRttMs,
        measured,
        estimatedRttMs: near.estimatedRttMs,
      }
    },
    async claim({ chain, token }) {
      if (fake.authority !== undefined) throw new FleetError('refused', 'this daemon belongs to a fleet already')
      fake.token = parseToken(token, Date.now() as Millis)
      fake.authority = authorityFrom(chain)
      return info()
    },
    async join(join) {
      trip()
      if ('token' in join) {
        const token = parseToken(join.token, Date.now() as Millis)
        fake.authority = authorityFrom(token.chain)
        return { fleet: token.fleet, reached: [...token.bootstrap], failed: [] }
      }
      const { fleet } = demand()
      const reached = join.addresses.filter(address => !address.startsWith('bad'))
      const failed = join.addresses
        .filter(address => address.startsWith('bad'))
        .map(address => ({ address, reason: 'refused' }))
      return { fleet, reached, failed }
    },
    async leave() {
      trip()
      fake.left = true
    },
    async forceLeave(node, prune) {
      trip()
      fake.dismissed.push(prune ? `${node} pruned` : node)
    },
    async query(query, answer) {
      trip()
      fake.asked.push(query)
      for (const each of fake.answers) answer(each)
      const count = (type: string): number => fake.answers.filter(each => each.type === type).length
      return { acks: count('ack'), responses: count('response') }
    },
    async monitor(_level, seen, signal) {
      trip()
      for (const each of fake.happened) seen(each)
      await new Promise(done => signal.addEventListener('abort', done))
      fake.aborted += 1
    },
    async changeTags(change) {
      Object.assign(tags, change.set)
      for (const key of change.delete) delete tags[key]
      return { tags }
    },
    policy() {
      const { fleet, chain, policy } = demand()
      return { fleet, policy, chain: chain.map(link => link.bytes) }
    },
    async acceptPolicy(statement) {
      fake.authority = withPolicy(demand(), statement)
    },
    async revoke(statement) {
      fake.authority = withRevocation(demand(), statement)
      fake.revoked = [...fake.authority.revoked.keys()]
    },
    images: () => ({ images: [...fake.images.values()] }),
    image: find,
    async buildImage({ path, name, version, kind, labels, provenance }, progress) {
      trip()
      progress({ done: 10, total: null })
      const digest = sha256(Buffer.from(path + name + version))
      const size = 4096
      const manifest = manifestOf([], { name, version, kind, labels, provenance, size, chunks: 3, index: digest })
      const image = { digest, name, version, kind, size, chunks: 3, held: 3, pinned: false, kept: [] }
      fake.images.set(digest, { ...image, endorsed: false, endorsers: [], manifest })
      return { digest, name, version, size, chunks: 3, newChunks: 2 }
    },
    async endorseImage(ref, statement) {
      const image = find(ref)
      const endorsement = open(ENDORSEMENT, demand().fleet, statement)
      if (endorsement.body.image !== image.digest) throw new FleetError('bad-input', 'that endorses another image')
      if (!isPublisher(demand(), endorsement)) throw new FleetError('unauthorized', 'not signed by a publisher')
      fake.images.set(image.digest, { ...image, endorsed: true, endorsers: endorsement.signers })
    },
    async fetchImage(ref, progress) {
      const { size } = find(ref)
      const at = (done: number) => ({ done, total: size, reused: 0, rate: 1e6, etaSeconds: 1, peers: 2 })
      progress(at(1024))
      trip()
      return { ...at(size), etaSeconds: 0 }
    },
    async exportImage(ref, { since, withPlan }) {
      trip()
      const { name, version } = find(ref)
      const bytes = Buffer.from(`bundle of ${name}:${version} since ${since ?? 'ever'}${withPlan ? ' with plan' : ''}`)
      return {
        name: `${name}-${version}.bundle`,
        size: bytes.byteLength,
        async send(write) {
          await write(bytes.subarray(0, 6))
          trip()
          await write(bytes.subarray(6))
        },
      }
    },
    async importImage(path, progress) {
      trip()
      progress({ done: 1024, total: 4096 })
      const plans = [
        { group: 'web', generation: 3, started: true, reason: '' },
        { group: 'db', generation: 1, started: false, reason: 'it is for another group' },
      ]
      const digest = sha256(Buffer.from(path))
      return { digest, name: 'shop', version: 'v1', size: 4096, chunks: 3, newChunks: 2, policies: 1, plans }
    },
    async verifyImage(ref, repair, progress) {
      const { digest, chunks } = find(ref)
      progress({ done: 1, total: 3 })
      return { digest, chunks, missing: 0, damaged: fake.damaged, repaired: repair ? fake.damaged.length : 0 }
    },
    async pinImage(ref, pinned) {
      const image = find(ref)
      fake.images.set(image.digest, { ...image, pinned, kept: pinned ? ['pinned'] : [] })
      return { digest: image.digest, name: image.name, version: image.version, pinned }
    },
    async removeImage(ref) {
      const { digest, name, version, kept } = find(ref)
      if (kept.length > 0) throw new FleetError('refused', `${name}:${version} is needed on this host: it is pinned`)
      fake.images.delete(digest)
      return { digest, name, version, bytes: 4096 }
    },
    async collectImages({ all, dryRun }) {
      const going = [...fake.images.values()].filter(image => all && image.kept.length === 0)
      if (!dryRun) for (const { digest } of going) fake.images.delete(digest)
      const images = going.map(({ digest, name, version }) => ({ digest, name, version }))
      const space = { used: 8192, quota: 2 ** 30, free: 2 ** 31, minFree: 2 ** 28 }
      return { images, chunks: 3 * going.length, bytes: 4096 * going.length, dryRun, ...space }
    },
    imagePeers(ref) {
      find(ref)
      const peer = { node: nodeId(), name: 'beta', bytes: 3072, sent: 0, offers: true, banned: false }
      return { peers: [peer, { ...peer, name: 'liar', banned: true }] }
    },
    async draft(group, { layer, image, select }) {
      const { digest, name, version } = find(image)
      const fits = (candidate: MemberView): boolean =>
        Object.entries(select).every(([key, pattern]) => new RegExp(pattern).test(candidate.tags[key] ?? ''))
      const roster = fake.members.filter(candidate => candidate.status === 'alive' && fits(candidate))
      return {
        group,
        layer,
        image: { digest, version: `${name}:${version}`, reversible: true },
        lineage: [],
        lacking: [],
        generation: fake.status.generation + 1,
        previous: null,
        phase: fake.status.phase,
        denied: fake.denied,
        roster: roster.map(({ id: node, name, zone, taint }) => ({
          node,
          name,
          zone,
          taint,
          digest: null,
          version: 'shop:v1',
        })),
        excluded: fake.members
          .filter(candidate => candidate.status === 'failed')
          .map(({ id: node, name }) => ({ node, name, reason: 'it is failed' })),
        down: fake.members.filter(({ status }) => status === 'failed').map(({ id: node, name }) => ({ node, name })),
      }
    },
    async submitPlan(statement) {
      trip()
      const { body } = openPlan(demand(), statement)
      fake.plans.push(body)
      fake.push({
        generation: body.generation,
        phase: body.canary > 0 ? 'canary' : 'rolling',
        image: { digest: body.image, version: body.version },
        total: body.roster.length,
        pending: body.roster.length,
      })
      return fake.status
    },
    async order(statement) {
      trip()
      const { body } = openOrder(demand(), statement)
      fake.orders.push(body)
      fake.push({ phase: body.verb === 'pause' ? 'paused' : fake.status.phase, reason: body.reason })
      return fake.status
    },
    rollouts: () => ({ rollouts: fake.status.phase === 'idle' ? [] : [fake.status] }),
    history: async group => ({ group, generations: fake.history }),
    async rollout() {
      trip()
      return fake.status
    },
    async *watchRollout(_group, signal) {
      trip()
      let wake = (): void => undefined
      const onPush = (): void => wake()
      listeners.add(onPush)
      signal.addEventListener('abort', onPush)
      try {
        for (let told: RolloutStatusView | undefined; !signal.aborted; ) {
          if (told !== fake.status) {
            told = fake.status
            yield told
            continue
          }
          await new Promise<void>(done => {
            wake = done
          })
        }
      } finally {
        listeners.delete(onPush)
        fake.aborted += 1
      }
    },
    async explain(group, node) {
      const found = fake.members.find(candidate => candidate.id === node)
      if (found === undefined) throw new FleetError('not-found', `no member ${node}`)
      return { node: found.id, name: found.name, group, reason: 'app: waiting for the canary to be healthy' }
    },
    async ledger(group) {
      trip()
      return {
        group,
        version: 7,
        epoch: 2,
        voters: [{ node: id, name: 'alpha' }],
        generation: 3,
        plan: null,
        phase: 'done',
        reason: '',
        nextToken: 9,
        permits: [{ token: 8, node: id, name: 'alpha', kind: 'replace', since: 1_700_000_000_000 as Millis }],
        targets: {},
        denied: [],
        fenced: [],
        progressAt: 1_700_000_000_000 as Millis,
      }
    },
    async draftRecovery(group) {
      trip()
      return {
        recovery: { ...RECOVERED, group },
        silent: RECOVERED.lost.map(node => ({ node, reason: 'connection refused' })),
      }
    },
    async recover(statement) {
      fake.recovery = openRecovery(demand(), statement).body
    },
    async mark(statement) {
      trip()
      const { body } = openMarkOrder(demand(), statement, Date.now() as Millis)
      fake.marks.push(body)
      return { node: body.node, name: fake.members.find(member => member.id === body.node)!.name, layers: [KEPT] }
    },
    async kept() {
      trip()
      return { node: id, name: 'alpha', layers: [KEPT] }
    },
    async compare() {
      trip()
      return {
        node: id,
        name: 'alpha',
        layers: [{ ...KEPT, marks: [], compared: { ...KEPT.compared!, differences: [], total: 0 } }],
      }
    },
    async evidence() {
      trip()
      const { format, image, slot, program, health, log, drift, ...summary } = EVIDENCE
      return { evidence: [{ digest: KEPT.image!, bytes: 900, holders: ['alpha', 'beta', 'gamma'], ...summary }] }
    },
    async oneEvidence(digest) {
      trip()
      if (!KEPT.image!.startsWith(digest)) throw new FleetError('not-found', `no evidence ${digest}`)
      return { digest: KEPT.image!, evidence: EVIDENCE }
    },
    async divergence() {
      trip()
      const [digest, other] = ['ab', 'cd'].map(part => part.repeat(32) as Digest) as [Digest, Digest]
      const straggler = {
        node: id,
        name: 'alpha',
        digest: other,
        version: 'shop:v0',
        since: 1_700_000_000_000 as Millis,
      }
      const running = [
        { digest, version: 'shop:v1', nodes: 2 },
        { digest: other, version: 'shop:v0', nodes: 1 },
      ]
      const layer = { group: 'web', layer: 'app', wanted: { digest, version: 'shop:v1' }, running }
      return { layers: [{ ...layer, stragglers: [{ ...straggler, reason: 'it is failed' }] }], unknown: ['db'] }
    },
    async hotfixes() {
      trip()
      const hotfixes = KEPT.marks.map(mark => ({ node: id, name: 'alpha', layer: 'app', mark }))
      return { hotfixes, silent: [{ node: id, name: 'beta' }] }
    },
    async audit({ since = 0, limit = 50, kind }) {
      trip()
      const entries = fake.log
        .flatMap(line => {
          const { entry, actual } = readLine(line)
          return entry === undefined ? [] : [{ ...entry, hash: actual }]
        })
        .filter(entry => entry.seq > since && (kind === undefined || entry.kind === kind))
      return { node: id, name: 'alpha', entries: entries.slice(-limit) }
    },
    async verifyAudit() {
      trip()
      const check = createAuditCheck(id, [])
      for (const line of fake.log) check.take(line)
      return { logs: [{ node: id, name: 'alpha', witnesses: 0, error: null, ...check.end() }] }
    },
    async exportAudit(_node, from) {
      trip()
      const [line] = fake.log.slice(from.line)
      const next = from.line + 1 < fake.log.length ? { entry: from.entry, line: from.line + 1 } : null
      const { fleet } = demand()
      return { node: id, name: 'alpha', fleet, heads: [], lines: line === undefined ? [] : [line], next }
    },
    async why() {
      trip()
      const entries = fake.log.flatMap(line => readLine(line).entry ?? [])
      return { node: id, name: 'alpha', causes: [{ layer: 'app', steps: entries.toReversed() }] }
    },
  }

  const fake: Fake = {
    service,
    id,
    authority: undefined,
    services: [],
    members: [
      member('alpha', { id, rttMs: null, estimatedRttMs: null }),
      member('beta', { zone: 'z2' }),
      member('gamma'),
    ],
    images: new Map(),
    plans: [],
    orders: [],
    status: IDLE,
    history: [],
    checkup: CHECKUP,
    marks: [],
    log: [],
    push(change) {
      fake.status = { ...fake.status, ...change }
      for (const listener of [...listeners]) listener()
    },
    events: [],
    deliver(name, payload = new Uint8Array(), coalesce = false) {
      const cursor = fake.events.length + 1
      const event: EventRecord = {
        cursor,
        author: id,
        authorName: 'alpha',
        seq: cursor,
        ltime: cursor + 4,
        name,
        payload,
        coalesce,
        at: 1_700_000_000_000 as Millis,
      }
      fake.events.push(event)
      for (const listener of [...listeners]) listener()
      return event
    },
    denied: [],
    revoked: [],
    recovery: undefined,
    left: false,
    token: undefined,
    damaged: [],
    asked: [],
    answers: [],
    dismissed: [],
    happened: [],
    failNext: undefined,
    hang: undefined,
    aborted: 0,
  }
  return fake
}
