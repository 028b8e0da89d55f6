import { eraOf } from '../../../protocol/index.ts'
import {
  type Action,
  createProposer,
  type ProposerInput,
  type ProposerOutcome,
  type Reply,
} from '../../../rollout/index.ts'
import { asJudged } from './planted.ts'
import { answer, judged } from './voters.ts'
import { type Host, isOfEra, type World } from './world.ts'

/**
 * One proposal of a host, or one read (`action` null), by the real proposer. Proposals of one host wait for one another, as those of a daemon do.
 * What was under way when its host is killed is heard of no more.
 */
export function propose(
  world: World,
  host: Host,
  action: Action | null,
  done: (outcome: ProposerOutcome) => void,
): void {
  if (action !== null && host.busy) {
    host.waiting.push(() => propose(world, host, action, done))
    return
  }
  if (action !== null) host.busy = true
  const proposer = createProposer({
    self: host.node,
    first: host.first,
    round: host.round,
    action: action?.type === 'start' ? { ...action, plan: asJudged(world, action.plan) } : action,
    plan: id => judged(world, world.plan(id)),
    random: world.random,
  })
  const { life } = host
  let over = false
  let wake = 0
  const ask = (voter: Host, serial: number, request: Parameters<typeof answer>[2]): void => {
    const hear = (reply: Reply) => (): void => {
      // Of a recovery it has to have heard from an operator.
      if (reply.type === 'moved' && !isOfEra(host, reply.first)) return
      input({ type: 'reply', from: voter.node, serial, reply })
    }
    if (voter === host)
      return world.at(host, 0, () => answer(world, voter, request, reply => world.at(host, 0, hear(reply))))
    world.deliver(host, voter, () => answer(world, voter, request, reply => world.deliver(voter, host, hear(reply))))
  }
  const end = (outcome: ProposerOutcome): void => {
    over = true
    if (action !== null) {
      host.busy = false
      host.waiting.shift()?.()
    }
    done(outcome)
  }
  const era = eraOf(host.first.epoch)
  const input = (next: ProposerInput): void => {
    // What comes for an earlier life of its host comes for nobody.
    if (over || host.life !== life) return
    // Nor does what was asked of voters that were given up.
    if (eraOf(host.first.epoch) > era) return end({ type: 'no-quorum', reason: 'recovered' })
    for (const effect of proposer.step(host.clock(), next)) {
      switch (effect.type) {
        case 'ask': {
          const voter = world.hosts.get(effect.voter)
          if (voter !== undefined) ask(voter, effect.serial, effect.request)
          break
        }
        case 'wakeAt': {
          wake += 1
          const mine = wake
          world.at(host, Math.max(0, effect.at - host.clock()), () => {
            if (mine === wake) input({ type: 'wake' })
          })
          break
        }
        case 'done':
          if (
            effect.first.epoch > host.first.epoch ||
            (effect.first.epoch === host.first.epoch && effect.round > host.round)
          ) {
            host.first = effect.first
            host.round = effect.round
          }
          // What a refusal was measured against is committed as well.
          if (effect.outcome.type !== 'no-quorum') world.learn(effect.outcome.value)
          end(effect.outcome)
          break
        default:
          effect satisfies never
      }
    }
  }
  input({ type: 'begin' })
}
