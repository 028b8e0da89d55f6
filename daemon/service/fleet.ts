import { type Address, FleetError, type Info, isToken, parseToken } from '../../protocol/index.ts'
import type { FleetService } from '../api/index.ts'
import { DialError, parseAddress } from '../network/index.ts'
import { timeLimit } from '../time-limit.ts'
import type { Scope } from './scope.ts'

const JOIN_TIMEOUT = 5_000
/** Time for the answer to reach whoever asked for the goodbye. */
const LEAVE_DELAY = 100

/** The daemon itself, and its being in a fleet, as the API offers them. */
export function fleetAnswers({ fleetd, members, noted }: Scope) {
  const { trust, network } = fleetd
  const info = (): Info => {
    const labels = fleetd.labels()
    return {
      id: network.self,
      name: fleetd.config.name,
      version: fleetd.version,
      fleet: trust.authority()?.fleet ?? null,
      class: labels.class,
      zone: labels.zone,
      group: labels.group,
      tags: fleetd.members()?.record().tags ?? labels.tags,
      epoch: fleetd.dataDir.epoch,
      services: fleetd.members()?.find(network.self)?.services ?? [],
      addresses: network.addresses(),
      api: fleetd.api(),
      apiFingerprint: fleetd.apiFingerprint(),
      dataDir: fleetd.dataDir.path,
      taint: fleetd.keeping.taints(),
      pid: process.pid,
      startedAt: fleetd.startedAt,
    }
  }

  return {
    info,
    version: () => ({ version: fleetd.version, api: 1, node: process.version }),
    readiness: () => ({ ready: true, reason: trust.authority() === undefined ? 'it belongs to no fleet yet' : '' }),
    checkup: signal => fleetd.checkup.run(signal),
    async claim({ chain, token }) {
      if (trust.authority() !== undefined)
        throw new FleetError('refused', `this daemon is a member of fleet ${trust.demand().fleet.slice(0, 12)} already`)
      const parsed = parseToken(token, fleetd.now())
      if (Buffer.compare(chain[0]!, parsed.chain[0]!) !== 0)
        throw new FleetError('bad-input', 'the token is for another fleet than the policy')
      await fleetd.enter(parsed)
      return info()
    },
    async join(join, signal) {
      let addresses: readonly Address[]
      if ('token' in join) {
        if (!isToken(join.token)) throw new FleetError('bad-input', 'not an invite token')
        const token = parseToken(join.token, fleetd.now())
        await fleetd.enter(token)
        addresses = token.bootstrap
      } else {
        members()
        addresses = join.addresses.map(parseAddress)
      }
      const reached: string[] = []
      const failed: { address: string; reason: string }[] = []
      await Promise.all(
        addresses.map(async address => {
          members().join([address])
          try {
            await network.connect(undefined, [address], timeLimit(JOIN_TIMEOUT, signal))
            reached.push(address)
          } catch (error) {
            failed.push({
              address,
              reason:
                error instanceof DialError && error.failure === 'stranger'
                  ? 'whoever answers there is no member of this fleet'
                  : (error as Error).message,
            })
          }
        }),
      )
      if (reached.length === 0 && failed.length > 0) {
        throw new FleetError(
          'unavailable',
          `no member answered: ${failed.map(({ address, reason }) => `${address}: ${reason}`).join('; ')}; they are tried again for as long as this daemon runs`,
        )
      }
      return { fleet: trust.demand().fleet, reached, failed }
    },
    async leave() {
      setTimeout(() => fleetd.requestStop({ leave: true }), LEAVE_DELAY)
    },
    policy() {
      const { fleet, chain, policy } = trust.demand()
      return { fleet, chain: chain.map(({ bytes }) => bytes), policy }
    },
    async acceptPolicy(statement) {
      await noted('policy-refused', 'a policy', () => fleetd.acceptPolicy(statement))
      await fleetd.spread('policy', statement)
    },
    async revoke(statement) {
      await noted('revocation-refused', 'a revocation', () => fleetd.acceptRevocation(statement))
      await fleetd.spread('revocation', statement)
    },
  } satisfies Partial<FleetService>
}
