import type { Logger } from 'pino'
import { FleetError, type Millis, type NodeId } from '../../protocol/index.ts'
import type { Down, LedgerValue, Permit } from '../../rollout/index.ts'
import type { Groups } from './groups.ts'
import type { Layer } from './layer.ts'
import type { Noting } from './notes.ts'

/**
 * Permits for restarts of this host as a whole, of the same ledger and budget as everything voluntary. A permit outlives the daemon and the
 * restart: it goes back when its holder says that the host is up, or by an operator's `write-off`.
 */
export interface Reboots {
  /** Resolves once a quorum says that this holder has a permit; asking again changes nothing. Throws `conflict` when it is to ask later, or `no-quorum`. */
  lock(holder: string, signal: AbortSignal): Promise<void>
  /** Resolves once a quorum says that it has none (any more). Throws `unavailable` while the host is not well, or `no-quorum`. */
  unlock(holder: string, signal: AbortSignal): Promise<void>
}

export interface RebootsInit {
  readonly node: NodeId
  readonly zone: string
  readonly group: () => string
  readonly groups: Pick<Groups, 'propose' | 'read'>
  /** Members of the group that this node believes to be down. */
  readonly down: () => readonly Down[]
  readonly layers: readonly Pick<Layer, 'name' | 'health' | 'status'>[]
  readonly note: Noting
  readonly now: () => Millis
  readonly log: Logger
}

export function createReboots(init: RebootsInit): Reboots {
  const { node, zone, groups, layers, note, now, log } = init

  const permitOf = (value: LedgerValue, holder: string): Permit | undefined =>
    value.permits.find(held => held.node === node && held.kind === 'reboot' && held.holder === holder)

  const say = (kind: 'permit-taken' | 'permit-returned', { token }: Permit, text: string): void => {
    log.info({ token, event: kind }, text)
    note({ kind, subject: 'host', text, detail: { token: `${token}` } })
  }

  /** A permit that goes back frees a place: whoever takes it counts on this host. */
  const assertWell = (): void => {
    for (const layer of layers) {
      const { health, reason } = layer.health()
      if (layer.status().digest !== null && health === 'failing')
        throw new FleetError('unavailable', `layer ${layer.name} of this host is not well yet: ${reason}; ask again`)
    }
  }

  return {
    async lock(holder, signal) {
      const asked = { type: 'grant', node, zone, unavailable: init.down(), reboot: holder, now: now() } as const
      const answer = await groups.propose(init.group(), asked, signal)
      if (answer.type === 'no-quorum') throw new FleetError('no-quorum', answer.reason)
      const permit = permitOf(answer.value, holder)
      if (permit === undefined)
        throw new FleetError(
          'conflict',
          answer.type === 'refused' ? answer.refusal.reason : 'no permit was granted; ask again',
        )
      if (answer.type === 'committed')
        say('permit-taken', permit, `the host may restart under permit ${permit.token} of group ${init.group()}`)
    },
    async unlock(holder, signal) {
      const value = await groups.read(init.group(), signal)
      if (value === null) throw new FleetError('no-quorum', 'too few voters of the ledger answer')
      const permit = permitOf(value, holder)
      if (permit === undefined) return
      assertWell()
      const { token } = permit
      const answer = await groups.propose(
        init.group(),
        { type: 'release', node, token, outcome: 'ok', reason: 'the host is up', now: now() },
        signal,
      )
      if (answer.type === 'no-quorum') throw new FleetError('no-quorum', answer.reason)
      if (permitOf(answer.value, holder)?.token === token)
        throw new FleetError('conflict', answer.type === 'refused' ? answer.refusal.reason : 'the permit is still held')
      say('permit-returned', permit, `the host is up again, and permit ${token} is given back`)
    },
  }
}
