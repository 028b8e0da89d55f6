import {
  type DownloadName,
  type PlainName,
  type PolicyView,
  type Received,
  type Result,
  type StreamName,
  toDocument,
  type Update,
} from '../../protocol/index.ts'
import type { Download, FleetService } from './service.ts'

/** How each question that has one answer is put to the service. */
export type Answers = {
  readonly [N in PlainName]: (received: Received<N>, signal: AbortSignal) => Result<N> | Promise<Result<N>>
}
/** How each stream is made; what it returns in the end is its result. */
export type Streams = {
  readonly [N in StreamName]: (
    received: Received<N>,
    /** Awaited, it holds back until the caller has taken what came before; only a lossless stream has to be. */
    update: (update: Update<N>) => Promise<void>,
    signal: AbortSignal,
  ) => Promise<Result<N>>
}

/** How each answer is made that is bytes. */
export type Downloads = {
  readonly [N in DownloadName]: (received: Received<N>, signal: AbortSignal) => Promise<Download>
}

export function answersOf(service: FleetService): Answers {
  const policy = async (): Promise<PolicyView> => {
    const view = await service.policy()
    return { ...view, chain: view.chain.map(toDocument) }
  }
  return {
    'GET /v1/info': () => service.info(),
    'GET /v1/version': () => service.version(),
    'GET /v1/checkup': (_, signal) => service.checkup(signal),
    'GET /v1/members': () => service.members(),
    'GET /v1/services': ({ query }) => service.services(query.service),
    'GET /v1/sd/prometheus': ({ query }) => service.scrapeTargets(query.service),
    'GET /v1/rtt': ({ query }) => service.rtt(query.from, query.to),
    'POST /v1/claim': ({ body }) => service.claim(body),
    'POST /v1/join': ({ body }, signal) => service.join(body, signal),
    'POST /v1/leave': () => nothing(service.leave()),
    'POST /v1/force-leave': ({ body }) => nothing(service.forceLeave(body.node, body.prune)),
    'POST /v1/tags': ({ body }) => service.changeTags(body),
    'POST /v1/events': ({ body }) => service.fireEvent(body),
    'GET /v1/policy': policy,
    'POST /v1/policy': async ({ body }) => {
      await service.acceptPolicy(body.statement)
      return policy()
    },
    'POST /v1/revocations': ({ body }) => nothing(service.revoke(body.statement)),
    'GET /v1/images': () => service.images(),
    'GET /v1/images/:ref': ({ params }) => service.image(params.ref),
    'POST /v1/images/:ref/endorsement': ({ params, body }) => nothing(service.endorseImage(params.ref, body.statement)),
    'POST /v1/images/:ref/pin': ({ params }) => service.pinImage(params.ref, true),
    'POST /v1/images/:ref/unpin': ({ params }) => service.pinImage(params.ref, false),
    'POST /v1/images/:ref/remove': ({ params }) => service.removeImage(params.ref),
    'POST /v1/images/gc': ({ body }) => service.collectImages(body),
    'GET /v1/images/:ref/peers': ({ params }) => service.imagePeers(params.ref),
    'GET /v1/rollouts': () => service.rollouts(),
    'POST /v1/rollouts': ({ body }, signal) => service.submitPlan(body.statement, signal),
    'POST /v1/orders': ({ body }, signal) => service.order(body.statement, signal),
    'GET /v1/rollouts/:group': ({ params }, signal) => service.rollout(params.group, signal),
    'GET /v1/rollouts/:group/history': ({ params }, signal) => service.history(params.group, signal),
    'GET /v1/rollouts/:group/draft': ({ params, query }, signal) => service.draft(params.group, query, signal),
    'GET /v1/rollouts/:group/explain/:node': ({ params }, signal) => service.explain(params.group, params.node, signal),
    'POST /v1/marks': ({ body }, signal) => service.mark(body.statement, signal),
    'GET /v1/drift': ({ query }, signal) => service.kept(query.node, signal),
    'POST /v1/drift': ({ body }, signal) => service.compare(body.node, signal),
    'GET /v1/evidence': ({ query }, signal) => service.evidence(query.node, signal),
    'GET /v1/evidence/:digest': ({ params }, signal) => service.oneEvidence(params.digest, signal),
    'GET /v1/divergence': (_, signal) => service.divergence(signal),
    'GET /v1/hotfixes': (_, signal) => service.hotfixes(signal),
    'GET /v1/audit': ({ query }, signal) => service.audit(query, signal),
    'GET /v1/audit/verify': ({ query }, signal) => service.verifyAudit(query.node, signal),
    'GET /v1/audit/export': ({ query }, signal) =>
      service.exportAudit(query.node, { entry: query.entry ?? 1, line: query.line ?? 0 }, signal),
    'GET /v1/why/:node': ({ params }, signal) => service.why(params.node, signal),
    'GET /v1/ledger/:group/recovery': ({ params }, signal) => service.draftRecovery(params.group, signal),
    'POST /v1/recoveries': ({ body }, signal) => nothing(service.recover(body.statement, signal)),
    'GET /v1/ledger/:group': ({ params }, signal) => service.ledger(params.group, signal),
  }
}

export function streamsOf(service: FleetService): Streams {
  return {
    'POST /v1/queries': ({ body }, update, signal) => service.query(body, update, signal),
    'GET /v1/members/watch': async (_received, update, signal) => {
      for await (const change of service.watchMembers(signal)) await update(change)
      return undefined
    },
    'GET /v1/monitor': async ({ query }, update, signal) => {
      await service.monitor(query.level, update, signal)
      return undefined
    },
    'POST /v1/images/build': ({ body }, update, signal) => service.buildImage(body, update, signal),
    'POST /v1/images/:ref/fetch': ({ params }, update, signal) => service.fetchImage(params.ref, update, signal),
    'POST /v1/images/import': ({ body }, update, signal) => service.importImage(body.path, update, signal),
    'POST /v1/images/:ref/verify': ({ params, query }, update, signal) =>
      service.verifyImage(params.ref, query.repair === 'true', update, signal),
    'GET /v1/events': async ({ query }, update, signal) => {
      let cursor = query.since ?? 0
      for await (const event of service.events(query, signal)) {
        await update({ ...event, payload: toDocument(event.payload) })
        cursor = event.cursor
      }
      return { cursor }
    },
    'GET /v1/rollouts/:group/watch': async ({ params }, update, signal) => {
      for await (const status of service.watchRollout(params.group, signal)) void update(status)
      return undefined
    },
  }
}

export function downloadsOf(service: FleetService): Downloads {
  return {
    'GET /v1/images/:ref/bundle': ({ params, query: { since, plan } }) =>
      service.exportImage(params.ref, { since, withPlan: plan === 'true' }),
  }
}

const nothing = async (done: Promise<void>): Promise<Record<string, never>> => {
  await done
  return {}
}
