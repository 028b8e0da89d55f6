import { isDeepStrictEqual } from 'node:util'
import { type MemberEvent, type MemberView, PROFILES, type SelfRecord } from '../../membership/index.ts'
import {
  type DocumentKind,
  decodeDocument,
  type InviteToken,
  openKeptRecovery,
  openRecovery,
  type Recovery,
  type Statement,
} from '../../protocol/index.ts'
import { refusals } from '../audit/index.ts'
import { type Config, changedTags } from '../config/index.ts'
import { createEvents, type Events } from '../events/index.ts'
import type { Handlers } from '../handlers/index.ts'
import type { Ledgers } from '../ledgers.ts'
import { createMemberWords } from '../member-words.ts'
import { createMembers } from '../members/index.ts'
import type { Groups, Rollouts } from '../rollout/index.ts'
import type { Services } from '../services/index.ts'
import type { Labels } from '../trust/index.ts'
import type { Ground } from './ground.ts'

const DEFAULTS: Labels = { class: 'cloud', group: 'default', zone: 'default', tags: {} }

/** This node's standing in its fleet: how it becomes a member, what it says of itself, and which of the fleet's documents it obeys. */
export interface Standing {
  /** Undefined while the daemon belongs to no fleet. */
  events(): Events | undefined
  /** Makes this node a member, and starts to take part. */
  enter(token: InviteToken): Promise<void>
  /** Starts to take part, with the certificate that is there. */
  takePart(): Promise<void>
  /** Takes a policy or a revocation, wherever it came from, and tells the audit log when it was news. */
  acceptPolicy(statement: Uint8Array): Promise<void>
  acceptRevocation(statement: Uint8Array): Promise<void>
  /** Takes an operator's word on a ledger whose voters are lost, which is on disk; the audit log is told when it is news. Throws `unauthorized`. */
  acceptRecovery(statement: Statement<Recovery>): void
  /** Takes up those settings of the next configuration that can change while it runs (RELOADABLE). Throws `refused` when the invite forbids a tag. */
  reload(next: Config): void
  close(): Promise<void>
}

export interface StandingParts {
  readonly handlers: Handlers
  readonly groups: Groups
  readonly ledgers: Ledgers
  readonly rollouts: Rollouts
  readonly services: Services
}

export function createStanding(
  ground: Ground,
  { handlers, groups, ledgers, rollouts, services }: StandingParts,
): Standing {
  const { config, version, dataDir, network, trust, roster, happenings, present, audit, now, random, log } = ground
  let events: Events | undefined

  const memberWords = createMemberWords()
  const tellMember = (event: MemberEvent, member: MemberView): void => {
    const word = memberWords(event, member)
    if (word !== undefined) happenings.tell({ type: 'members', event: word, members: [member] })
  }

  const takeDocument = (document: Uint8Array, before: boolean): void => {
    const { kind, statement } = decodeDocument(document)
    take(kind, statement, before).catch(error => log.error({ err: error, kind }, 'a document could not be taken'))
  }
  const take = async (kind: DocumentKind, statement: Uint8Array, before: boolean): Promise<void> => {
    switch (kind) {
      case 'plan':
        return void rollouts.acceptPlan(statement, before)
      case 'policy':
        return standing.acceptPolicy(statement).catch(() => undefined) // one of the chain, seen before
      case 'revocation':
        return standing.acceptRevocation(statement)
      case 'recovery':
        return standing.acceptRecovery((before ? openKeptRecovery : openRecovery)(trust.demand(), statement))
      default:
        return kind satisfies never
    }
  }

  const standing: Standing = {
    events: () => events,
    async enter(token) {
      await trust.enter(token)
      if (roster.members() === undefined) await standing.takePart()
      if (token.bootstrap.length > 0) roster.members()!.join(token.bootstrap)
    },
    async takePart() {
      const labels = trust.bound(present.labels, DEFAULTS)
      present.labels = labels
      const record = {
        name: config.name,
        addresses: [...network.addresses()],
        class: labels.class,
        zone: labels.zone,
        group: labels.group,
        tags: labels.tags,
        version,
        certificate: trust.credentials()!.certificate,
        ...(services.offered === undefined ? {} : { services: [...services.offered] }),
      } as SelfRecord
      const members = await createMembers({
        network,
        trust,
        store: dataDir,
        profile: PROFILES[config.profile](),
        epoch: dataDir.epoch,
        record,
        now,
        exactNow: ground.exactNow,
        random,
        log,
        onEvent(event, member) {
          log[event === 'update' ? 'debug' : 'info'](
            { event: `member-${event}`, node: member.id, name: member.name },
            `${member.name}: ${event}`,
          )
          tellMember(event, member)
        },
        onDocument: takeDocument,
        onRefused: refusals(audit.note, rollouts.refuseForged),
      })
      roster.entered(members)
      events = await createEvents({ network, trust, happenings, directory: dataDir.path, now, random, log })
      handlers.follow(events)
      for (const peer of network.links()) events.network.linkUp(peer)
      tellMember('join', members.find(network.self)!)
      for (const node of trust.demand().revoked.keys()) {
        members.revoked(node)
        events.revoked(node)
      }
      ground.vitals.changed()
      groups.follow(labels.group)
      // After the documents: what is voted in goes by the recoveries among them.
      for (const group of await ledgers.recall()) groups.follow(group)
    },
    async acceptPolicy(statement) {
      if (!(await trust.acceptPolicy(statement))) return
      roster.members()?.policyChanged()
      const { chain, policy } = trust.demand()
      const signers = chain.at(-1)!.signers.join(' ')
      audit.note({
        kind: 'policy',
        by: signers,
        text: `policy ${policy.version} is in force`,
        detail: { policy: chain.at(-1)!.id, version: `${policy.version}` },
      })
    },
    async acceptRevocation(statement) {
      const node = await trust.acceptRevocation(statement)
      if (node === undefined) return
      roster.members()?.revoked(node)
      events?.revoked(node)
      const { body, signers, id } = trust.demand().revoked.get(node)!
      audit.note({
        kind: 'revocation',
        subject: node,
        by: signers.join(' '),
        text: `node ${node} is put out for good: ${body.reason}`,
        detail: { revocation: id },
      })
    },
    acceptRecovery({ id, body, signers }) {
      if (!ledgers.acceptRecovery(body)) return
      audit.note({
        kind: 'recovery',
        subject: body.group,
        by: signers.join(' '),
        text: `the ledger of group ${body.group} goes on without ${body.lost.length} lost voters: ${body.reason}`,
        detail: { recovery: id, epoch: `${body.epoch}` },
      })
    },
    reload(next) {
      const { labels, settings } = present
      const members = roster.members()
      const tags = changedTags(settings.tag, next.tag, members?.record().tags ?? labels.tags)
      // Checked first: what is refused must leave all as it was.
      const bound = trust.authority() === undefined ? { ...labels, tags } : trust.bound({ ...labels, tags }, DEFAULTS)
      handlers.configure(next)
      if (!isDeepStrictEqual(settings.tag, next.tag)) {
        present.labels = bound
        members?.changeRecord({ tags: bound.tags })
      }
      present.settings = next
    },
    async close() {
      roster.members()?.stop()
      await events?.close()
    },
  }
  return standing
}
