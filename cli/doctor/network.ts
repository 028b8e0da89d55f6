import type { PeerCheck } from '../../protocol/api/index.ts'
import { hostPort, plural } from '../text.ts'
import { type Check, type Facts, type Finding, isAre, names } from './types.ts'

const there = ({ status }: Pick<PeerCheck, 'status'>): boolean => status === 'alive' || status === 'suspect'
/** One that is suspected is no longer expected to answer: it shows by itself whether it failed. */
const asked = ({ checkup }: Facts): PeerCheck[] => checkup.peers.filter(({ status }) => status === 'alive')
const nameOf = ({ name }: { readonly name: string }): string => name
/** A member that is carried by others says so in its addresses, and need not be reached at them. */
const relayed = ({ addresses }: PeerCheck): boolean => addresses.some(address => address.includes('/p2p-circuit'))
const place = ({ addresses }: PeerCheck): string =>
  addresses[0] === undefined ? 'its address' : hostPort(addresses[0])
const START = 'systemctl start fleetd'
const LISTENING = 'ss -ltn'

const FLEET: Check = {
  name: 'fleet',
  look({ info, members, checkup }) {
    if (info.fleet === null)
      return [
        {
          severity: 'problem',
          what: 'this daemon belongs to no fleet',
          mend: 'Join one with a token that "fleetctl invite" prints on a member (fleetctl join TOKEN), or make a new one.',
          on: info.name,
          run: 'fleetctl init',
        },
      ]
    const others = members.filter(({ id, status }) => id !== info.id && status !== 'left')
    if (others.length > 0 && checkup.links === 0)
      return [
        {
          severity: 'problem',
          what: `this daemon has no connection to any of ${plural(others.length, 'other member')}`,
          mend: 'See whether this host has a network, and then name it a member that it can reach.',
          on: info.name,
          run: `fleetctl join ${hostPort(others.find(({ addrs }) => addrs[0] !== undefined)?.addrs[0] ?? '192.0.2.10:7946')}`,
        },
      ]
    return []
  },
  good: ({ info, members, checkup }) =>
    `one of ${plural(members.length, 'member')} of ${info.fleet!.slice(0, 12)}, with ${plural(checkup.links, 'open link')}`,
}

/** Two daemons with one key hear of each other every few seconds; one that was not heard for so long has been stopped. Milliseconds. */
const TWIN_GONE = 10 * 60_000

const IDENTITY: Check = {
  name: 'identity',
  look({ info, checkup: { at, twin } }) {
    if (twin === null || at - twin.at > TWIN_GONE) return []
    const where = twin.addresses.map(hostPort).join(', ')
    const other =
      where === '' || twin.addresses.every(address => info.addresses.includes(address)) ? '' : ` at ${where}`
    return [
      {
        severity: 'problem',
        what: `another daemon${other} speaks with this node's key: its data directory (${info.dataDir}) was copied, and the fleet takes both for one node`,
        mend: 'Stop the copy, empty its data directory, and let it join anew with an invite; if both have run for a while, revoke the identity and let both join anew.',
        on: info.name,
        run: 'fleetctl invite',
      },
    ]
  },
  good: () => 'nobody else speaks with the key of this node',
}

const PORTS: Check = {
  name: 'ports',
  look(facts) {
    const found: Finding[] = []
    const shut = asked(facts).filter(peer => peer.port !== 'open' && !relayed(peer))
    for (const port of ['refused', 'none'] as const) {
      const hosts = shut.filter(peer => peer.port === port)
      if (hosts.length === 0) continue
      const [first] = hosts
      found.push({
        severity: 'problem',
        what: `nothing ${port === 'refused' ? 'listens' : 'answers'} where ${names(hosts.map(nameOf))} ${hosts.length === 1 ? 'says' : 'say'} to be (${place(first!)}), though ${hosts.length === 1 ? 'it is' : 'they are'} alive`,
        mend:
          port === 'refused'
            ? 'See where fleetd listens there, and let --listen and --advertise say the same.'
            : 'Open that port (TCP) in the firewalls on the way, or give an address that can be reached with --advertise.',
        on: first!.name,
        run: LISTENING,
      })
    }
    return found
  },
  good: facts =>
    asked(facts).length === 0
      ? 'nobody to connect to'
      : `${plural(asked(facts).length, 'other member')} can be connected to`,
}

const BACK: Check = {
  name: 'reachable',
  look(facts) {
    const { info } = facts
    const told = asked(facts).filter(({ back }) => back !== null)
    const closed = told.filter(({ back }) => back !== 'open')
    if (closed.length === 0) return []
    const where = info.addresses.map(hostPort).join(', ')
    const byRelay = info.addresses.some(address => address.includes('/p2p-circuit'))
    return [
      {
        severity: byRelay || closed.length < told.length ? 'warning' : 'problem',
        what: `${closed.length === told.length ? 'nobody who was asked' : `${names(closed.map(nameOf))} (${closed.length} of ${told.length})`} can${closed.length === told.length ? '' : 'not'} connect to this node at ${where}${byRelay ? '; others carry its connections' : ''}`,
        mend: 'Open that port (TCP) for what comes in, in the firewalls of this host and before it, or name the address that leads here with --advertise.',
        on: info.name,
        run: LISTENING,
      },
    ]
  },
  good: facts => {
    const told = asked(facts).filter(({ back }) => back !== null)
    return told.length === 0
      ? 'nobody to be reached by'
      : `${plural(told.length, 'other member')} can connect to this node`
  },
}

const ANSWERS: Check = {
  name: 'answers',
  look(facts) {
    const silent = asked(facts).filter(peer => peer.silence !== null && (peer.port === 'open' || relayed(peer)))
    if (silent.length === 0) return []
    const [first] = silent
    return [
      {
        severity: 'warning',
        what: `${names(silent.map(nameOf))} ${silent.length === 1 ? 'does' : 'do'} not answer, though the port is open: ${first!.silence}`,
        mend: 'See what its daemon says; one that stands still, or is of an old version, does not answer.',
        on: first!.name,
        run: 'journalctl -u fleetd -n 50',
      },
    ]
  },
  good: facts => {
    const heard = asked(facts).filter(({ silence }) => silence === null).length
    return heard === 0 ? 'nobody to answer' : `${plural(heard, 'other member')} answered`
  },
}

const MEMBERS: Check = {
  name: 'members',
  look({ members, checkup, info }) {
    const tried = new Map(checkup.peers.map(peer => [peer.node, peer.port]))
    const failed = members.filter(({ status }) => status === 'failed')
    const found: Finding[] = []
    const tell = (some: readonly { readonly name: string }[], how: string): void => {
      if (some.length === 0) return
      const [first] = some
      found.push({
        severity: 'problem',
        what: `${names(some.map(nameOf))} ${isAre(some.length)} failed${how}`,
        mend: `Start fleetd there; one that will not come back is done with by: fleetctl force-leave ${first!.name}`,
        on: first!.name,
        run: START,
      })
    }
    const dead = failed.filter(({ id }) => tried.get(id) === 'refused')
    tell(dead, ': the host answers, and fleetd does not run there')
    tell(
      failed.filter(member => !dead.includes(member)),
      ': the host does not answer',
    )
    const overdue = members.filter(({ status }) => status === 'overdue')
    if (overdue.length > 0)
      found.push({
        severity: 'problem',
        what: `${names(overdue.map(nameOf))} ${isAre(overdue.length)} overdue: away for longer than agreed`,
        mend: 'See whether the device is on and has a network; one that will not come back is put out of the list by this.',
        on: info.name,
        run: `fleetctl force-leave ${overdue[0]!.name}`,
      })
    const suspects = members.filter(({ status }) => status === 'suspect')
    if (suspects.length > 0)
      found.push({
        severity: 'warning',
        what: `${names(suspects.map(nameOf))} ${isAre(suspects.length)} suspected to have failed`,
        mend: 'Wait some seconds: it shows by itself whether they have.',
        on: info.name,
        run: 'fleetctl members --watch',
      })
    return found
  },
  good: ({ members }) => {
    const away = members.filter(({ status }) => status === 'away').length
    return `${members.filter(there).length} alive${away === 0 ? '' : `, ${away} away as agreed`}, nobody failed`
  },
}

export const NETWORK: readonly Check[] = [FLEET, IDENTITY, MEMBERS, PORTS, BACK, ANSWERS]
