import {
  type Digest,
  eraOf,
  type Millis,
  type NodeId,
  type Plan,
  type Random,
  type Statement,
  toFleetError,
} from '../../protocol/index.ts'
import type { Reply, Request } from './messages.ts'
import { createProposer, type ProposerEffect, type ProposerInput, type ProposerOutcome } from './proposer.ts'
import type { Action, LedgerValue } from './value.ts'

export interface LedgerClient {
  /** Drives one action to an outcome. Proposals of one client wait for one another, since they would only outbid each other. */
  propose(action: Action, signal: AbortSignal): Promise<ProposerOutcome>
  /** The committed value by quorum, at least as new as when the call began. */
  read(signal: AbortSignal): Promise<ProposerOutcome>
  /** Where this client believes the voters to be; told of a later epoch, it starts there. */
  believe(value: LedgerValue): void
  /** The value whose voters it asks first. */
  believed(): LedgerValue
}

export interface LedgerClientInit {
  readonly self: NodeId
  readonly genesis: LedgerValue
  readonly plan: (id: Digest) => Statement<Plan> | undefined
  /** One request to one voter. Rejects when it cannot be reached. */
  readonly send: (voter: NodeId, request: Request, signal: AbortSignal) => Promise<Reply>
  readonly random: Random
  readonly now: () => Millis
}

/** The thin layer of promises and timers around `createProposer`. */
export function createLedgerClient(init: LedgerClientInit): LedgerClient {
  let first = init.genesis
  let round = 0
  let turn: Promise<unknown> = Promise.resolve()
  /** Ends what is under way with voters that an operator has given up. */
  let givenUp = new AbortController()

  const run = (action: Action | null, signal: AbortSignal): Promise<ProposerOutcome> =>
    new Promise(resolve => {
      const proposer = createProposer({ self: init.self, first, round, action, plan: init.plan, random: init.random })
      const over = new AbortController()
      const { signal: era } = givenUp
      let timer: NodeJS.Timeout | undefined
      const end = (outcome: ProposerOutcome): void => {
        clearTimeout(timer)
        signal.removeEventListener('abort', cancelled)
        era.removeEventListener('abort', cancelled)
        over.abort()
        resolve(outcome)
      }
      const trouble = new Map<NodeId, string>()
      const withTrouble = (reason: string): string =>
        trouble.size === 0
          ? reason
          : `${reason} (${[...trouble].map(([voter, why]) => `${voter.slice(-8)}: ${why}`).join('; ')})`
      const cancelled = (): void =>
        end({ type: 'no-quorum', reason: withTrouble('no majority of its voters had answered when it was given up') })
      const input = (next: ProposerInput): void => {
        if (!over.signal.aborted) for (const effect of proposer.step(init.now(), next)) perform(effect)
      }
      const perform = (effect: ProposerEffect): void => {
        switch (effect.type) {
          case 'ask':
            init.send(effect.voter, effect.request, over.signal).then(
              reply => input({ type: 'reply', from: effect.voter, serial: effect.serial, reply }),
              error => {
                // A voter that cannot be reached is a voter that does not answer; the round's timer deals with it.
                trouble.set(effect.voter, toFleetError(error).message)
              },
            )
            return
          case 'wakeAt':
            clearTimeout(timer)
            timer = setTimeout(() => input({ type: 'wake' }), Math.max(0, effect.at - init.now()))
            return
          case 'done': {
            if (effect.first.epoch > first.epoch || (effect.first.epoch === first.epoch && effect.round > round)) {
              first = effect.first
              round = effect.round
            }
            const { outcome } = effect
            return end(outcome.type === 'no-quorum' ? { ...outcome, reason: withTrouble(outcome.reason) } : outcome)
          }
          default:
            effect satisfies never
        }
      }
      if (signal.aborted) return cancelled()
      signal.addEventListener('abort', cancelled, { once: true })
      era.addEventListener('abort', cancelled, { once: true })
      input({ type: 'begin' })
    })

  return {
    propose(action, signal) {
      const mine = turn.then(() => run(action, signal))
      turn = mine
      return mine
    },
    read: signal => run(null, signal),
    believe(value) {
      if (value.epoch <= first.epoch || value.successors !== null) return
      // Its voters are all that is needed of it: a voter that is not installed is told by one that is.
      if (eraOf(value.epoch) > eraOf(first.epoch)) {
        givenUp.abort()
        givenUp = new AbortController()
      }
      first = value
      round = 0
    },
    believed: () => first,
  }
}
