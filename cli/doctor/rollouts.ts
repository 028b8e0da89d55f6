import { plural } from '../text.ts'
import { type Check, type Facts, type Finding, isAre, names } from './types.ts'

const failedIn = ({ members }: Facts, group: string): string[] =>
  members.filter(member => member.group === group && member.status === 'failed').map(({ name }) => name)

const QUORUM: Check = {
  name: 'quorum',
  look(facts) {
    const { members, ledgers, info } = facts
    const statuses = new Map(members.map(({ id, status }) => [id, status]))
    const lives = (node: (typeof members)[number]['id']): boolean =>
      ['alive', 'suspect'].includes(statuses.get(node) ?? '')
    return ledgers.flatMap((fact): Finding[] => {
      const { group } = fact
      if (fact.ledger === null) {
        const failed = failedIn(facts, group)
        return [
          {
            severity: 'problem',
            what: `the ledger of group ${group} cannot be read from a majority of its voters, and no host there may be replaced: ${fact.error}`,
            mend: `Bring back the hosts of the group that are down${failed.length === 0 ? '' : ` (${names(failed)})`}: its voters are among them. If they will never come back: fleetctl ledger recover ${group}.`,
            on: failed[0] ?? info.name,
            run: failed.length === 0 ? `fleetctl members --group ${group}` : 'systemctl start fleetd',
          },
        ]
      }
      const { voters } = fact.ledger
      const gone = voters.filter(({ node }) => !lives(node))
      if (gone.length === 0) return []
      const spare = voters.length - gone.length - (Math.floor(voters.length / 2) + 1)
      return [
        {
          severity: 'warning',
          what: `${names(gone.map(({ name }) => name))}, of the ${voters.length} voters of group ${group}, ${isAre(gone.length)} down${spare > 0 ? '' : '; when one more fails, no host there may be replaced'}`,
          mend: 'Bring it back with its own data directory; if it will never come back, write it off: another host takes its place.',
          on: gone[0]!.name,
          run: 'systemctl start fleetd',
        },
      ]
    })
  },
  good: ({ ledgers }) =>
    ledgers.length === 0
      ? 'no ledger to read'
      : `the ledgers of ${plural(ledgers.length, 'group')} can be read from a majority`,
}

const ROLLOUTS: Check = {
  name: 'rollouts',
  look(facts) {
    const { rollouts, members, info } = facts
    const failed = new Set(members.filter(({ status }) => status === 'failed').map(({ id }) => id))
    const paused = rollouts
      .filter(({ phase }) => phase === 'paused')
      .map(
        ({ group, generation, reason }): Finding => ({
          severity: 'problem',
          what: `generation ${generation} of group ${group} is paused${reason === '' ? '' : `: ${reason}`}`,
          mend: `Mend that and let it go on, or take it back with: fleetctl rollout undo --group ${group}`,
          on: info.name,
          run: `fleetctl rollout resume --group ${group}`,
        }),
      )
    const held = rollouts.flatMap(({ group, permits }) =>
      permits
        .filter(({ node }) => failed.has(node))
        .map(
          ({ name, token }): Finding => ({
            severity: 'problem',
            what: `${name} failed while it held permit ${token} of group ${group}, and counts as down until it is back`,
            mend: 'Bring it back; only when it is really gone, free its permit with this.',
            on: info.name,
            run: `fleetctl node write-off ${name} --reason "it is gone"`,
          }),
        ),
    )
    return [...paused, ...held]
  },
  good: ({ rollouts }) =>
    rollouts.length === 0 ? 'none yet' : rollouts.map(({ group, phase }) => `${group} ${phase}`).join(', '),
}

const VERSIONS: Check = {
  name: 'versions',
  look({ fleetctl, info, members }) {
    const found: Finding[] = []
    if (fleetctl !== info.version)
      found.push({
        severity: 'warning',
        what: `this fleetctl is ${fleetctl}, and the daemon that it asks is ${info.version}`,
        mend: 'Install both from the same package, and start the daemon again.',
        on: info.name,
        run: 'systemctl restart fleetd',
      })
    const counts = new Map<string, string[]>()
    for (const { version, name, status } of members)
      if (status === 'alive' || status === 'suspect') counts.set(version, [...(counts.get(version) ?? []), name])
    if (counts.size > 1) {
      const [most, ...others] = [...counts].sort(([, a], [, b]) => b.length - a.length)
      found.push({
        severity: 'warning',
        what: `the fleet runs ${counts.size} versions of fleetd: ${most![0]} on ${plural(most![1].length, 'member')}, ${others.map(([version, on]) => `${version} on ${names(on)}`).join(', ')}`,
        mend: 'That is as it should be while fleetd is replaced host by host; otherwise bring the others to the same version.',
        on: others[0]![1][0]!,
        run: 'fleetctl version',
      })
    }
    return found
  },
  good: ({ info }) => `${info.version} everywhere`,
}

const TAINTS: Check = {
  name: 'taints',
  look({ members, info }) {
    const tainted = members.filter(({ taint }) => taint.length > 0)
    const [first] = tainted
    if (first === undefined) return []
    return [
      {
        severity: 'warning',
        what: `${names(tainted.map(({ name, taint }) => `${name} (${taint.join(', ')})`))} ${tainted.length === 1 ? 'runs' : 'run'} something that is not to be trusted`,
        mend: 'They are replaced by themselves as the budget of their group allows; see what differs with this.',
        on: info.name,
        run: `fleetctl drift ${first.name}`,
      },
    ]
  },
  good: () => 'every slot is its image, as far as it was compared',
}

export const ROLLOUTS_AND_IMAGES: readonly Check[] = [QUORUM, ROLLOUTS, VERSIONS, TAINTS]
