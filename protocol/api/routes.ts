import * as z from 'zod'
import { LIMITS } from '../limits.ts'
import { label } from '../statements/fields.ts'
import * as audit from './audit.ts'
import * as checkup from './checkup.ts'
import * as events from './events.ts'
import * as evidence from './evidence.ts'
import { imageRef, nodeRef, statementOf } from './fields.ts'
import * as fleet from './fleet.ts'
import * as images from './images.ts'
import * as keep from './keep.ts'
import * as queries from './queries.ts'
import * as rollouts from './rollouts.ts'
import * as services from './services.ts'

/**
 * One thing that the daemon can be asked. `events` makes it a stream of Server-Sent Events: `update` carries
 * `events`, `result` (for what ends by itself) carries `result` and is the last, and `problem` is a problem document and is the last.
 */
export interface Route {
  readonly summary: string
  readonly params?: z.ZodObject
  readonly query?: z.ZodObject
  readonly body?: z.ZodType
  readonly result?: z.ZodType
  readonly events?: z.ZodType
  /** No update may be left out: a caller that falls too far behind is cut off. Otherwise it gets the newest. */
  readonly lossless?: true
  /**
   * The query parameter that says where to go on. Each update carries a `cursor`, which is also its SSE id, and a caller that
   * reconnects with `Last-Event-ID` goes on behind it.
   */
  readonly resume?: string
  /** The answer is bytes and no JSON: all of them, of a length that is said beforehand, or the connection is cut. */
  readonly download?: true
  /** Largest body, in bytes. Default 16 KiB. */
  readonly maxBody?: number
}

const image = z.strictObject({ ref: imageRef })
const group = z.strictObject({ group: label })
/** A statement of at most `max` bytes in base64url, with the JSON around it. */
const sized = (max: number) => ({ body: statementOf(max), maxBody: Math.ceil((max * 4) / 3) + 1024 })
const MIB = 1024 * 1024

/** The local API: `METHOD PATH` and what goes in and comes out. The server, the client's types and the OpenAPI description are all made from this. */
export const ROUTES = {
  'GET /v1/info': { summary: 'This daemon', result: fleet.infoSchema },
  'GET /v1/version': { summary: 'Versions', result: fleet.versionSchema },
  'GET /v1/checkup': {
    summary: 'Examines this host and the way to other members, and takes some seconds where one does not answer',
    result: checkup.checkupSchema,
  },
  'GET /v1/members': { summary: 'Everybody in the fleet, as this daemon sees them', result: fleet.membersSchema },
  'GET /v1/members/watch': {
    summary: 'Everybody in the fleet, and then whoever changes, as it happens',
    events: fleet.membersChangeSchema,
    lossless: true,
  },
  'GET /v1/services': {
    summary: 'What members offer, and how it does',
    query: services.servicesQuerySchema,
    result: services.servicesViewSchema,
  },
  'GET /v1/sd/prometheus': {
    summary: "The services as targets, for Prometheus's HTTP service discovery",
    query: services.servicesQuerySchema,
    result: services.scrapeTargetsSchema,
  },
  'GET /v1/rtt': {
    summary: 'The round trip between two members, measured or estimated',
    query: fleet.rttQuerySchema,
    result: fleet.rttSchema,
  },
  'POST /v1/claim': {
    summary: 'Makes an unclaimed daemon the first of a fleet',
    body: fleet.claimSchema,
    maxBody: 2 * MIB,
    result: fleet.infoSchema,
  },
  'POST /v1/join': {
    summary: 'Joins a fleet with an invite, or dials members of this one',
    body: fleet.joinSchema,
    maxBody: MIB,
    result: fleet.joinedSchema,
  },
  'POST /v1/leave': { summary: 'Says goodbye to the fleet and stops the daemon', result: z.object({}) },
  'POST /v1/force-leave': {
    summary: 'Has done with a node that is failed: it counts as left from now on',
    body: queries.forceLeaveSchema,
    result: z.object({}),
  },
  'POST /v1/queries': {
    summary: 'Asks many nodes at once, and tells every ack and response',
    body: queries.askSchema,
    maxBody: 256 * 1024,
    events: queries.queryAnswerSchema,
    lossless: true,
    result: queries.queryTotalsSchema,
  },
  'GET /v1/monitor': {
    summary: 'The log of this daemon, and member events, user events and queries as they come',
    query: queries.monitorQuerySchema,
    events: queries.monitoredSchema,
    lossless: true,
  },
  'POST /v1/tags': { summary: 'Changes the tags of this node', body: fleet.tagsChangeSchema, result: fleet.tagsSchema },
  'POST /v1/events': {
    summary: 'Fires a user event',
    body: events.fireSchema,
    maxBody: Math.ceil((LIMITS.eventPayload * 4) / 3) + 4 * 1024,
    result: events.firedSchema,
  },
  'GET /v1/events': {
    summary: 'User events in the order in which this node delivered them, none skipped',
    query: events.eventsQuerySchema,
    events: events.eventViewSchema,
    result: events.eventsEndSchema,
    lossless: true,
    resume: 'since',
  },
  'GET /v1/policy': { summary: 'The policy and the chain that leads to it', result: fleet.policyViewSchema },
  'POST /v1/policy': {
    summary: 'Takes the next policy, signed',
    ...sized(LIMITS.policy),
    result: fleet.policyViewSchema,
  },
  'POST /v1/revocations': {
    summary: 'Puts a node out for good, signed',
    ...sized(LIMITS.revocation),
    result: z.object({}),
  },
  'GET /v1/images': { summary: 'The images that this daemon has or is fetching', result: images.imagesSchema },
  'POST /v1/images/build': {
    summary: 'Builds an image from a path on this host',
    body: images.buildSchema,
    maxBody: 64 * 1024,
    events: images.progressSchema,
    result: images.builtSchema,
  },
  'GET /v1/images/:ref': { summary: 'One image', params: image, result: images.imageDetailSchema },
  'POST /v1/images/:ref/endorsement': {
    summary: "Takes a publisher's signature on an image",
    params: image,
    ...sized(LIMITS.endorsement),
    result: z.object({}),
  },
  'POST /v1/images/:ref/fetch': {
    summary: 'Fetches an image from the peers that have it',
    params: image,
    events: images.fetchProgressSchema,
    result: images.fetchProgressSchema,
  },
  'GET /v1/images/:ref/bundle': {
    summary: 'An image in one file, for hosts that no network reaches',
    params: image,
    query: images.exportQuerySchema,
    download: true,
  },
  'POST /v1/images/import': {
    summary: 'Brings in the image of a bundle at a path on this host',
    body: images.importSchema,
    events: images.progressSchema,
    result: images.importedSchema,
  },
  'POST /v1/images/:ref/verify': {
    summary: 'Reads every chunk of an image and compares it with its digest',
    params: image,
    query: images.verifyQuerySchema,
    events: images.progressSchema,
    result: images.verifiedSchema,
  },
  'POST /v1/images/:ref/pin': {
    summary: 'Keeps an image on this node until it is unpinned',
    params: image,
    result: images.pinnedSchema,
  },
  'POST /v1/images/:ref/unpin': {
    summary: 'Lets an image go when its space is needed',
    params: image,
    result: images.pinnedSchema,
  },
  'POST /v1/images/:ref/remove': {
    summary: 'Removes an image from this node, unless it is needed here',
    params: image,
    result: images.removedSchema,
  },
  'POST /v1/images/gc': {
    summary: 'Removes what is of no use from the image store',
    body: images.collectSchema,
    result: images.collectedSchema,
  },
  'GET /v1/images/:ref/peers': {
    summary: 'Whom an image came from and went to',
    params: image,
    result: images.imagePeersSchema,
  },
  'GET /v1/rollouts': { summary: 'The newest rollout of each group', result: rollouts.rolloutsSchema },
  'POST /v1/rollouts': { summary: 'Starts a signed plan', ...sized(LIMITS.plan), result: rollouts.rolloutStatusSchema },
  'POST /v1/orders': {
    summary: "Takes an operator's word on a rollout, signed",
    ...sized(LIMITS.order),
    result: rollouts.rolloutStatusSchema,
  },
  'GET /v1/rollouts/:group': {
    summary: "A group's newest rollout",
    params: group,
    result: rollouts.rolloutStatusSchema,
  },
  'GET /v1/rollouts/:group/history': {
    summary: "A group's generations, newest first",
    params: group,
    result: rollouts.historySchema,
  },
  'GET /v1/rollouts/:group/draft': {
    summary: 'What a plan for this group would be now',
    params: group,
    query: rollouts.draftQuerySchema,
    result: rollouts.draftSchema,
  },
  'GET /v1/rollouts/:group/watch': {
    summary: "Every change of a group's rollout, the present state first",
    params: group,
    events: rollouts.rolloutStatusSchema,
  },
  'GET /v1/rollouts/:group/explain/:node': {
    summary: 'Why a node does or does not go on with a rollout',
    params: z.strictObject({ group: label, node: nodeRef }),
    result: rollouts.explanationSchema,
  },
  'POST /v1/marks': {
    summary: "Carries an operator's word on what a node runs there, signed: taint, hotfix, extend, clear",
    ...sized(LIMITS.order),
    result: keep.keptViewSchema,
  },
  'GET /v1/drift': {
    summary: 'What a node runs, how that compared with its image last, and its marks',
    query: keep.keptQuerySchema,
    result: keep.keptViewSchema,
  },
  'POST /v1/drift': {
    summary: 'Compares what a node runs with its images now',
    body: keep.scanSchema,
    result: keep.keptViewSchema,
  },
  'GET /v1/evidence': {
    summary: 'What was there before slots were given up, as members that answer keep it',
    query: evidence.evidenceQuerySchema,
    result: evidence.evidenceListSchema,
  },
  'GET /v1/evidence/:digest': {
    summary: 'One bundle of evidence, from whoever keeps it',
    params: evidence.evidenceRef,
    result: evidence.evidenceViewSchema,
  },
  'GET /v1/divergence': {
    summary: "Which nodes run something else than their group's ledger wants, since when and why",
    result: keep.divergenceSchema,
  },
  'GET /v1/hotfixes': { summary: 'All hotfixes of the fleet, and when each is over', result: keep.hotfixesSchema },
  'GET /v1/audit': {
    summary: "Entries of a node's audit log",
    query: audit.auditQuerySchema,
    result: audit.auditListSchema,
  },
  'GET /v1/audit/verify': {
    summary:
      'Compares audit logs, one or those of all members, with their own hashes and with the heads that others keep',
    query: audit.auditVerifyQuerySchema,
    result: audit.auditVerifiedSchema,
  },
  'GET /v1/audit/export': {
    summary: "A node's audit log as it is written, page by page",
    query: audit.auditExportQuerySchema,
    result: audit.auditPageSchema,
  },
  'GET /v1/why/:node': {
    summary: 'What led to what a node runs, from its audit log',
    params: z.strictObject({ node: nodeRef }),
    result: audit.whySchema,
  },
  'GET /v1/ledger/:group': {
    summary: "A group's ledger, read from a majority of its voters",
    params: group,
    result: rollouts.ledgerSchema,
  },
  'GET /v1/ledger/:group/recovery': {
    summary: 'What a ledger would go on from without the voters that do not answer',
    params: group,
    result: rollouts.recoveryDraftSchema,
  },
  'POST /v1/recoveries': {
    summary: 'Lets a ledger go on without its lost voters, signed',
    ...sized(LIMITS.recovery),
    result: z.object({}),
  },
} as const satisfies Record<string, Route>

export type Routes = typeof ROUTES
export type RouteName = keyof Routes

type Field<R, K extends string, Otherwise> = R extends Record<K, infer S extends z.ZodType> ? S : Otherwise
type In<R, K extends string> = Field<R, K, never> extends infer S extends z.ZodType ? S : never

/** What a caller sends. */
export type Call<N extends RouteName> = {
  [K in 'params' | 'query' | 'body' as K extends keyof Routes[N] ? K : never]: z.input<In<Routes[N], K>>
}
/** What a handler gets: the same, checked and with bytes and brands in place. */
export type Received<N extends RouteName> = {
  [K in 'params' | 'query' | 'body' as K extends keyof Routes[N] ? K : never]: z.output<In<Routes[N], K>>
}
/** What comes back in the end; undefined for a stream that only updates. */
export type Result<N extends RouteName> = Routes[N] extends { result: infer S extends z.ZodType }
  ? z.output<S>
  : undefined
/** What a stream tells on the way; never for a route that is no stream. */
export type Update<N extends RouteName> = Routes[N] extends { events: infer S extends z.ZodType } ? z.output<S> : never

export type StreamName = { [N in RouteName]: Routes[N] extends { events: z.ZodType } ? N : never }[RouteName]
export type DownloadName = { [N in RouteName]: Routes[N] extends { download: true } ? N : never }[RouteName]
export type PlainName = Exclude<RouteName, StreamName | DownloadName>
