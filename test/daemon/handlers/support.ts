import type { EventLog } from '../../../daemon/handlers/index.ts'
import type { Happenings, IncomingQuery, UserEvent } from '../../../daemon/happenings.ts'
import type { MemberView } from '../../../membership/index.ts'
import { type Address, FleetError, type Millis, type NodeId } from '../../../protocol/index.ts'

export const member = (name: string, more: Partial<MemberView> = {}): MemberView => ({
  id: `id-of-${name}` as NodeId,
  name,
  addresses: ['/ip4/192.0.2.7/tcp/7946' as Address],
  status: 'alive',
  class: 'cloud',
  zone: 'z1',
  group: 'web',
  tags: {},
  epoch: 1,
  version: '1.0.0',
  layers: [],
  services: [],
  health: 'unknown',
  reason: '',
  taint: [],
  images: [],
  rttMs: null,
  coordinate: null,
  since: 0 as Millis,
  ...more,
})

export const userEvent = (cursor: number, name: string, payload = '', coalesce = false): UserEvent => ({
  cursor,
  author: 'id-of-author' as NodeId,
  seq: cursor,
  ltime: cursor + 100,
  name,
  payload: Buffer.from(payload),
  coalesce,
  at: 1_700_000_000_000 as Millis,
})

export interface FakeQuery extends IncomingQuery {
  readonly responses: Uint8Array[]
}

export const query = (name: string, payload = '', deadline = Date.now() + 60_000): FakeQuery => {
  const responses: Uint8Array[] = []
  return {
    id: `q-${name}`,
    ltime: 9,
    asker: 'id-of-asker' as NodeId,
    name,
    payload: Buffer.from(payload),
    deadline: deadline as Millis,
    responses,
    async respond(bytes) {
      responses.push(bytes)
    },
  }
}

/** A log of user events in memory, which tells of each as the daemon's does. */
export function eventLog(happenings: () => Happenings): EventLog & { fire(event: UserEvent): void; forget(): void } {
  let all: UserEvent[] = []
  const waiting = new Set<() => void>()
  return {
    fire(event) {
      all.push(event)
      for (const wake of waiting) wake()
      happenings().tell({ type: 'event', event })
    },
    forget() {
      all = all.slice(-1)
    },
    async *since(cursor, { follow }, signal) {
      const [oldest] = all
      if (oldest !== undefined && (cursor ?? 0) + 1 < oldest.cursor)
        throw new FleetError('not-found', 'they are kept no more', { detail: { oldest: oldest.cursor } })
      let at = cursor ?? 0
      while (!signal.aborted) {
        const next = all.find(event => event.cursor > at)
        if (next !== undefined) {
          at = next.cursor
          yield next
        } else if (!follow) return
        else
          await new Promise<void>(resolve => {
            const wake = (): void => {
              waiting.delete(wake)
              signal.removeEventListener('abort', wake)
              resolve()
            }
            waiting.add(wake)
            signal.addEventListener('abort', wake)
          })
      }
    },
  }
}
