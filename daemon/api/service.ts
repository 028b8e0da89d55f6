import type {
  Ask,
  AuditList,
  AuditPage,
  AuditVerified,
  Built,
  Checkup,
  Claim,
  Collect,
  Collected,
  Divergence,
  EventRecord,
  EvidenceList,
  EvidenceView,
  Explanation,
  FetchProgress,
  Fired,
  Hotfixes,
  ImageDetail,
  ImagePeers,
  Images,
  Imported,
  Info,
  Join,
  Joined,
  KeptView,
  LedgerView,
  LogLevel,
  Members,
  MembersChange,
  Monitored,
  Pinned,
  PolicyView,
  Progress,
  QueryAnswerView,
  QueryTotals,
  Readiness,
  Received,
  RecoveryDraft,
  Removed,
  RolloutDraft,
  RolloutHistory,
  RolloutList,
  RolloutStatusView,
  Rtt,
  ScrapeTargets,
  ServicesView,
  Tags,
  TagsChange,
  Verified,
  VersionInfo,
  Why,
} from '../../protocol/index.ts'

type Answer<T> = T | Promise<T>

/** Bytes that are ready to be sent. */
export interface Download {
  /** What a file of it is best called. */
  readonly name: string
  readonly size: number
  /** Gives all of them to `write`, one piece after the other. */
  send(write: (bytes: Uint8Array) => Promise<void>, signal: AbortSignal): Promise<void>
}

/**
 * What the daemon can be asked, with no word of HTTP. Everything that it is given has the right shape; whether it is
 * allowed is for the service to say. It throws `FleetError`; the code becomes the status. A signal aborts when the caller is gone.
 * `progress` may be called as often as is handy: what the caller cannot take in time is skipped, never queued. Other callbacks tell everything.
 */
export interface FleetService {
  info(): Answer<Info>
  version(): Answer<VersionInfo>
  readiness(): Answer<Readiness>
  /** Takes some seconds where a member does not answer. */
  checkup(signal: AbortSignal): Promise<Checkup>
  members(): Answer<Members>
  /** Everybody first, then every change until the signal aborts; while its caller is busy, changes are put together. */
  watchMembers(signal: AbortSignal): AsyncIterable<MembersChange>
  /** Of all names, or of one. */
  services(name: string | undefined): Answer<ServicesView>
  scrapeTargets(name: string | undefined): Answer<ScrapeTargets>
  /**
   * Nodes are names, ids or beginnings of one; `to` undefined is this node. Throws `not-found` for an unknown node and for one that has no
   * coordinate yet, `conflict` where several match, and `bad-input` for twice the same.
   */
  rtt(from: string, to: string | undefined): Answer<Rtt>

  /** Throws `refused` when the daemon belongs to a fleet already. */
  claim(claim: Claim): Promise<Info>
  /** Throws `unavailable` when no address answered. */
  join(join: Join, signal: AbortSignal): Promise<Joined>
  /** Resolves once the goodbye is on its way; the daemon stops after the answer was sent. */
  leave(): Promise<void>
  changeTags(change: TagsChange): Promise<Tags>

  /** Resolves when the event is on disk here and on its way. */
  fireEvent(event: Received<'POST /v1/events'>['body']): Promise<Fired>
  /** Every event behind `since`, in order, none skipped; then, with `follow`, those that come until the signal aborts. */
  events(query: Received<'GET /v1/events'>['query'], signal: AbortSignal): AsyncIterable<EventRecord>
  /** `node` is a name, an id or the beginning of one. Throws `refused` for one that is not failed, overdue or left. */
  forceLeave(node: string, prune: boolean): Promise<void>
  /** Every answer is told, and none is left out. */
  query(query: Ask, answer: (answer: QueryAnswerView) => void, signal: AbortSignal): Promise<QueryTotals>
  /** Runs until the signal aborts. */
  monitor(level: LogLevel, seen: (seen: Monitored) => void, signal: AbortSignal): Promise<void>

  /** The chain as bytes; the API turns them into text. Throws `unclaimed`. */
  policy(): Answer<Omit<PolicyView, 'chain'> & { readonly chain: readonly Uint8Array[] }>
  /** Takes the next policy of the chain and spreads it. */
  acceptPolicy(statement: Uint8Array): Promise<void>
  revoke(statement: Uint8Array): Promise<void>

  /** `image` is `name:version`, a digest or the beginning of one. Throws `not-found`, or `conflict` where several match. */
  images(): Answer<Images>
  image(image: string): Answer<ImageDetail>
  buildImage(
    build: Received<'POST /v1/images/build'>['body'],
    progress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Built>
  endorseImage(image: string, statement: Uint8Array): Promise<void>
  fetchImage(image: string, progress: (progress: FetchProgress) => void, signal: AbortSignal): Promise<FetchProgress>
  /** Throws `refused` when the image is not whole here. */
  exportImage(image: string, options: { since: string | undefined; withPlan: boolean }): Promise<Download>
  /** Throws what is wrong with the bundle; chunks that were good are kept. */
  importImage(path: string, progress: (progress: Progress) => void, signal: AbortSignal): Promise<Imported>
  /** Resolves with what it found, damage too, and what of it peers could mend where that is wanted. */
  verifyImage(
    image: string,
    repair: boolean,
    progress: (progress: Progress) => void,
    signal: AbortSignal,
  ): Promise<Verified>
  pinImage(image: string, pinned: boolean): Promise<Pinned>
  /** Throws `refused` when the image is needed on this host. */
  removeImage(image: string): Promise<Removed>
  collectImages(options: Collect): Promise<Collected>
  imagePeers(image: string): Answer<ImagePeers>

  draft(
    group: string,
    query: Received<'GET /v1/rollouts/:group/draft'>['query'],
    signal: AbortSignal,
  ): Promise<RolloutDraft>
  submitPlan(statement: Uint8Array, signal: AbortSignal): Promise<RolloutStatusView>
  order(statement: Uint8Array, signal: AbortSignal): Promise<RolloutStatusView>
  rollouts(): Answer<RolloutList>
  rollout(group: string, signal: AbortSignal): Promise<RolloutStatusView>
  history(group: string, signal: AbortSignal): Promise<RolloutHistory>
  /** The present state first, then every change until the signal aborts. */
  watchRollout(group: string, signal: AbortSignal): AsyncIterable<RolloutStatusView>
  /** `node` is a name, an id or the beginning of one. */
  explain(group: string, node: string, signal: AbortSignal): Promise<Explanation>
  ledger(group: string, signal: AbortSignal): Promise<LedgerView>
  /** Throws `refused` while a majority of the voters answers. */
  draftRecovery(group: string, signal: AbortSignal): Promise<RecoveryDraft>
  /** Throws as `draftRecovery`, and `unauthorized`. */
  recover(statement: Uint8Array, signal: AbortSignal): Promise<void>

  /** Carries the order to its node. Throws what that node has against it, or `unavailable`. */
  mark(statement: Uint8Array, signal: AbortSignal): Promise<KeptView>
  kept(node: string | undefined, signal: AbortSignal): Promise<KeptView>
  compare(node: string | undefined, signal: AbortSignal): Promise<KeptView>
  hotfixes(signal: AbortSignal): Promise<Hotfixes>
  divergence(signal: AbortSignal): Promise<Divergence>
  evidence(node: string | undefined, signal: AbortSignal): Promise<EvidenceList>
  /** Throws `not-found` where nobody who answers keeps it, `conflict` where several begin so. */
  oneEvidence(digest: string, signal: AbortSignal): Promise<EvidenceView>

  /** Nodes are named by name, id or the beginning of one; without one it is this daemon's own log, and to verify, those of all. */
  audit(query: Received<'GET /v1/audit'>['query'], signal: AbortSignal): Promise<AuditList>
  verifyAudit(node: string | undefined, signal: AbortSignal): Promise<AuditVerified>
  exportAudit(
    node: string | undefined,
    from: { readonly entry: number; readonly line: number },
    signal: AbortSignal,
  ): Promise<AuditPage>
  why(node: string, signal: AbortSignal): Promise<Why>
}
