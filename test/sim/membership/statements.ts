import type { GossipKind, Heard } from '../../../membership/index.ts'
import {
  type Dismissal,
  encode,
  type FleetId,
  millis,
  type NodeId,
  type NodeRecord,
  type Statement,
  type StatementKind,
  sha256,
  VITALS,
} from '../../../protocol/index.ts'
import type { Host, WorldOptions } from './types.ts'

/** What hosts say: as good as signed, because only `signer` can make it. */
export interface Statements {
  signer(host: Host, clock: () => number): <T>(kind: StatementKind<T>, content: T) => Statement<T>
  /** What a host makes of bytes; undefined when it does not believe them, or does not hear of them. */
  believed(host: Host, kind: GossipKind, bytes: Uint8Array): Heard | undefined
}

export function createStatements(
  options: Pick<WorldOptions, 'vitals' | 'fault'>,
  byId: ReadonlyMap<NodeId, Host>,
): Statements {
  /** By their bytes. */
  const said = new Map<string, Heard>()
  const signer =
    (host: Host, clock: () => number) =>
    <T>(kind: StatementKind<T>, content: T): Statement<T> => {
      // Of nobody who is a member, so that its own table has no use for them.
      const unsaid = options.vitals === 'never' && kind.domain === VITALS.domain && host.class !== 'intermittent'
      const body = unsaid ? { ...content, node: '' as NodeId } : content
      const bytes = encode([kind.domain, host.id, clock(), body])
      const text = textOf(bytes)
      const again = said.get(text)
      if (again !== undefined && again.kind !== 'document') return again.statement as unknown as Statement<T>
      const statement: Statement<T> = {
        bytes,
        id: sha256(bytes),
        domain: kind.domain,
        fleet: '' as FleetId | '',
        clock: millis(clock()),
        signers: [],
        body,
      }
      const tag = kind.domain.split('/')[1]
      if (tag === 'record' || tag === 'vitals') said.set(text, { kind: tag, statement } as unknown as Heard)
      else if (tag === 'dismissal') {
        said.set(text, { kind: tag, statement } as unknown as Heard)
        notePruning(body as Dismissal)
      } else said.set(text, { kind: 'suspicion', statement, observer: host.id } as unknown as Heard)
      if (tag === 'record') host.said = body as NodeRecord
      return statement
    }
  /** What the subject said last may not have got to who dismisses it: that is news then, and makes the dismissal void. */
  const notePruning = ({ subject, epoch, seq, presence, prune }: Dismissal): void => {
    const host = byId.get(subject)!
    const { said: last, process } = host
    host.pruned ||=
      prune && process === undefined && last?.epoch === epoch && last.seq === seq && last.presence === presence
  }
  /** A message of gossip comes to every host, and is looked up once. */
  const found = new WeakMap<Uint8Array, Heard>()
  const saidIn = (bytes: Uint8Array): Heard | undefined => {
    let heard = found.get(bytes)
    if (heard !== undefined) return heard
    heard = said.get(textOf(bytes))
    if (heard !== undefined) found.set(bytes, heard)
    return heard
  }
  const believed = (host: Host, kind: GossipKind, bytes: Uint8Array): Heard | undefined => {
    const heard = kind === 'document' ? { kind, bytes } : saidIn(bytes)
    if (heard === undefined || heard.kind === 'document') return heard
    const { body } = heard.statement
    const ofItself = ('node' in body ? body.node : body.subject) === host.id
    const saidByOthers = heard.kind === 'suspicion' || heard.kind === 'dismissal'
    const deaf =
      (options.fault === 'epoch-not-persisted' && ofItself) ||
      (options.fault === 'never-refutes' && ofItself && saidByOthers) ||
      (options.fault === 'ignores-dismissals' && heard.kind === 'dismissal' && host.index % 2 === 1)
    return deaf ? undefined : heard
  }
  return { signer, believed }
}

const textOf = ({ buffer, byteOffset, byteLength }: Uint8Array): string =>
  Buffer.from(buffer, byteOffset, byteLength).toString('latin1')
