import { run as forceLeave } from '../actions/force-leave.ts'
import { run as monitor } from '../actions/monitor.ts'
import { run as query } from '../actions/query.ts'
import { run as reachability } from '../actions/reachability.ts'
import type { Spec } from '../spec.ts'
import { collect, oneOf, pair } from '../values.ts'

export const QUERIES: readonly Spec[] = [
  {
    usage: 'query <name> [payload]',
    summary: 'ask many nodes at once, and show who has heard it and what they answer',
    flags: [
      { flags: '--node <node>', help: 'only this one, by name or id (repeatable)', parse: collect },
      { flags: '--tag <key=regexp>', help: 'whole value of the tag matches, RE2 syntax (repeatable)', parse: pair },
      { flags: '--group <group>', help: 'only this group (repeatable)', parse: collect },
      { flags: '--zone <zone>', help: 'only this zone (repeatable)', parse: collect },
      { flags: '--no-ack', help: 'do not ask for a sign that it was heard' },
    ],
    ownTimeout: true,
    example: `fleetctl query uptime --tag role=db --timeout 15s
    --timeout is how long answers are waited for (default: grows with the fleet, 3s for 9 nodes)`,
    load: async () => query,
  },
  {
    usage: 'reachability',
    summary: 'does everybody who is alive answer? exits with 1 when not',
    flags: [{ flags: '--verbose', help: 'show each answer' }],
    ownTimeout: true,
    example: 'fleetctl reachability --verbose',
    load: async () => reachability,
  },
  {
    usage: 'force-leave <node>',
    summary: 'have done with a node that is failed: it counts as left',
    flags: [{ flags: '--prune', help: 'and list it no more' }],
    example: `fleetctl force-leave gamma --prune
    needs no key, and does nothing to a node that lives: for that there are "leave" on it, and "revoke"`,
    load: async () => forceLeave,
  },
  {
    usage: 'monitor',
    summary: "follow this daemon's log, member events, user events and queries",
    flags: [
      {
        flags: '--log-level <level>',
        help: 'trace, debug, info, warn or error (default: info), whatever the daemon itself logs',
        parse: oneOf('trace', 'debug', 'info', 'warn', 'error'),
      },
    ],
    example: 'fleetctl monitor --log-level debug',
    load: async () => monitor,
  },
]
