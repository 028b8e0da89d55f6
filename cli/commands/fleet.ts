import { run as event } from '../actions/event.ts'
import { run as events } from '../actions/events.ts'
import { run as info } from '../actions/info.ts'
import { run as join } from '../actions/join.ts'
import { run as leave } from '../actions/leave.ts'
import { run as members } from '../actions/members.ts'
import { run as rtt } from '../actions/rtt.ts'
import { run as services } from '../actions/services.ts'
import { run as tags } from '../actions/tags.ts'
import { run as version } from '../actions/version.ts'
import type { Flag, Spec } from '../spec.ts'
import { collect, cursor, duration, oneOf, pair, pattern, patternPair, someOf } from '../values.ts'

export const GROUP_FLAG: Flag = { flags: '--group <group>', help: "group (default: this daemon's)" }

const CLASSES = oneOf('cloud', 'physical', 'intermittent')

export const FLEET: readonly Spec[] = [
  {
    usage: 'init',
    summary: 'make a fleet of this unclaimed daemon',
    example: `fleetctl init
    makes the operator key where there is none, signs policy 1 and makes this daemon the first member`,
    load: async () => (await import('../signing/index.ts')).init,
  },
  {
    usage: 'invite',
    summary: 'print a token with which a new host joins',
    flags: [
      { flags: '--ttl <time>', help: 'how long it can be used (default: 24h)', parse: duration },
      { flags: '--class <class>', help: 'only for this class: cloud, physical or intermittent', parse: CLASSES },
      { flags: '--group <group>', help: 'only for this group' },
      { flags: '--zone <zone>', help: 'only for this zone' },
      { flags: '--tag <key=value>', help: 'the new host gets this tag (repeatable)', parse: pair },
    ],
    example: `fleetctl invite --ttl 1h --group web
    then, on the new host: fleetd --join TOKEN`,
    load: async () => (await import('../signing/index.ts')).invite,
  },
  {
    usage: 'members',
    summary: 'who is in the fleet, alive, and on which image',
    flags: [
      {
        flags: '--status <status>',
        help: 'alive, suspect, failed, left, away or overdue (repeatable)',
        parse: someOf('alive', 'suspect', 'failed', 'left', 'away', 'overdue'),
      },
      { flags: '--name <regexp>', help: 'whole name matches', parse: pattern },
      { flags: '--tag <key=regexp>', help: 'whole value of the tag matches (repeatable)', parse: patternPair },
      { flags: '--group <group>', help: 'of this group' },
      { flags: '--zone <zone>', help: 'of this zone' },
      { flags: '--sort <order>', help: 'name (default), or rtt: nearest first', parse: oneOf('name', 'rtt') },
      { flags: '--watch', help: 'go on showing it as it changes' },
    ],
    example: `fleetctl members --group web --status failed
  fleetctl members --sort rtt
  fleetctl members --format json | jq -r '.members[].name'`,
    load: async () => members,
  },
  {
    usage: 'services [name]',
    summary: 'what members offer: where, how well, and with what weight',
    example: `fleetctl services web
    weight 0: it is about to stop, and nobody is sent there any more`,
    load: async () => services,
  },
  {
    usage: 'rtt <a> [b]',
    summary: 'the round trip between two nodes (default: to this one)',
    example: `fleetctl rtt alpha beta
    prints "alpha <-> beta: 0.6 ms (estimated)", or measured where this daemon has measured it;
    a and b are names, ids or the beginnings of one`,
    load: async () => rtt,
  },
  {
    usage: 'info',
    summary: 'this daemon: its id, fleet, addresses and labels',
    example: 'fleetctl info --format json | jq -r .id',
    load: async () => info,
  },
  {
    usage: 'doctor',
    summary: 'what is wrong with this host and its fleet, and how to mend it',
    example: `fleetctl doctor
    exits with 0 when there is no problem, with 1 when there is one, and with 8 when the daemon does not answer`,
    load: async () => (await import('../doctor/index.ts')).run,
  },
  {
    usage: 'version',
    summary: 'the versions of fleetctl and of the daemon',
    example: 'fleetctl version',
    load: async () => version,
  },
  {
    usage: 'join <address|token...>',
    summary: 'join a fleet with an invite, or dial members of this one',
    example: `fleetctl join fleet1.hKRpbnZpdGU...
  fleetctl join 192.0.2.10:7946`,
    load: async () => join,
  },
  {
    usage: 'leave',
    summary: 'say goodbye to the fleet and stop this daemon',
    example: `fleetctl leave
    the others see this node as left, not as failed`,
    load: async () => leave,
  },
  {
    usage: 'revoke <node>',
    summary: 'put a node out of the fleet for good',
    flags: [{ flags: '--reason <text>', help: 'why; everybody is told', required: true }],
    example: `fleetctl revoke gamma --reason "laptop was stolen"
    NODE is a name, an id or the beginning of one; there is no way back, it has to join as a new node`,
    load: async () => (await import('../signing/index.ts')).revoke,
  },
  {
    usage: 'tags',
    summary: "show or change this node's tags",
    flags: [
      { flags: '--set <key=value>', help: 'set a tag (repeatable)', parse: pair },
      { flags: '--delete <key>', help: 'remove a tag (repeatable)', parse: collect },
    ],
    example: 'fleetctl tags --set role=db --delete spare',
    load: async () => tags,
  },
  {
    usage: 'event <name> [payload]',
    summary: 'fire a user event at the whole fleet',
    flags: [{ flags: '--coalesce', help: 'handlers may skip it when another of its name comes soon' }],
    example: `fleetctl event deploy v2
  tar -c conf | fleetctl event config -
    PAYLOAD has at most 64 KiB; "-" reads it from standard input`,
    load: async () => event,
  },
  {
    usage: 'events',
    summary: 'the user events that this node delivered, in its order',
    flags: [
      { flags: '--since <cursor>', help: 'only those behind this cursor (default: all that are kept)', parse: cursor },
      { flags: '--follow', help: 'go on with those that come' },
    ],
    example: `fleetctl events --since 120 --follow --format json
    each line names its cursor: go on from it later, and nothing is missed or told twice`,
    load: async () => events,
  },
]
