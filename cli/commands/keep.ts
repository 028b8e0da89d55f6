import { run as auditExport } from '../actions/audit-export.ts'
import { run as auditList } from '../actions/audit-list.ts'
import { run as auditVerify } from '../actions/audit-verify.ts'
import { run as divergence } from '../actions/divergence.ts'
import { run as drift } from '../actions/drift.ts'
import { run as evidenceGet } from '../actions/evidence-get.ts'
import { run as evidenceList } from '../actions/evidence-list.ts'
import { run as hotfixList } from '../actions/hotfix-list.ts'
import { run as why } from '../actions/why.ts'
import type { Flag, Group, Spec } from '../spec.ts'
import { cursor, duration, positive } from '../values.ts'

export const AUDIT: Group = {
  name: 'audit',
  summary: 'what a node did, refused and was ordered: a log that cannot be changed unseen',
  commands: [
    {
      usage: 'list [node]',
      summary: 'the newest entries (default: of this daemon)',
      flags: [
        { flags: '--since <entry>', help: 'those behind this entry, the oldest first', parse: cursor },
        { flags: '--limit <n>', help: 'at most so many (default: 50)', parse: positive },
        { flags: '--kind <kind>', help: 'of this kind: plan-refused, permit-taken, taint, ...' },
      ],
      example: `fleetctl audit list beta --kind plan-refused
    what beta was told to do and did not, each with its reason`,
      load: async () => auditList,
    },
    {
      usage: 'verify [node]',
      summary: 'whether logs are what their nodes wrote (default: those of all members)',
      flags: [{ flags: '--file <file>', help: 'an exported log instead; asks no daemon' }],
      example: `fleetctl audit verify
    exits with 1 and names node and entry where a byte was changed, entries are missing, or a log does not fit the heads that others keep`,
      load: async () => auditVerify,
    },
    {
      usage: 'export [node]',
      summary: 'print a log as its node wrote it, one JSON object a line behind its hash',
      example: `fleetctl audit export beta > beta.audit
    fleetctl audit verify --file beta.audit`,
      load: async () => auditExport,
    },
  ],
}

const TTL = (what: string, required: boolean): Flag => ({
  flags: '--ttl <time>',
  help: what,
  parse: duration,
  ...(required ? { required: true as const } : {}),
})
const LAYER: Flag = { flags: '--layer <layer>', help: 'the layer whose slot it is', required: true }
const WHY: Flag = { flags: '--reason <text>', help: 'why; everybody is told', required: true }

export const EVIDENCE: Group = {
  name: 'evidence',
  summary: 'what was there before a slot was given up',
  commands: [
    {
      usage: 'list [node]',
      summary: 'all that members keep (default: of every node), the newest first',
      example: `fleetctl evidence list gamma
    each bundle is kept by its node and by two others`,
      load: async () => evidenceList,
    },
    {
      usage: 'get <digest>',
      summary: 'how a slot differed from its image, how its program ended, and what it wrote last',
      example: `fleetctl evidence get 1f0c9a
  fleetctl evidence get 1f0c9a --format json | jq -r '.evidence.drift.differences[0].content' | base64 -d`,
      load: async () => evidenceGet,
    },
  ],
}

export const HOTFIX: Group = {
  name: 'hotfix',
  summary: 'changes by hand, which end by themselves',
  commands: [
    {
      usage: 'start <node>',
      summary: 'open what a layer of a node runs for changes by hand, for a time',
      flags: [LAYER, TTL('how long; then the clean image takes its place (at most 7d)', true), WHY],
      example: `fleetctl hotfix start gamma --layer app --ttl 4h --reason "price table, ticket 812"
    gamma is tainted at once and says where its slot is: fleetctl drift gamma`,
      load: async () => (await import('../signing/index.ts')).hotfix('hotfix'),
    },
    {
      usage: 'extend <node>',
      summary: 'give a hotfix more time, from now on',
      flags: [LAYER, TTL('how long from now', true), { flags: WHY.flags, help: WHY.help }],
      example: 'fleetctl hotfix extend gamma --layer app --ttl 2h',
      load: async () => (await import('../signing/index.ts')).hotfix('extend'),
    },
    {
      usage: 'clear <node>',
      summary: 'end a hotfix now: the clean image takes its place, under a permit',
      flags: [LAYER],
      example: 'fleetctl hotfix clear gamma --layer app',
      load: async () => (await import('../signing/index.ts')).hotfix('clear'),
    },
    {
      usage: 'list',
      summary: 'all hotfixes of the fleet, and when each is over',
      example: 'fleetctl hotfix list',
      load: async () => hotfixList,
    },
  ],
}

export const KEEP: readonly Spec[] = [
  {
    usage: 'taint <node>',
    summary: 'what a node runs is not to be trusted: put it in place afresh',
    flags: [{ flags: '--layer <layer>', help: 'this layer alone (default: all)' }, WHY],
    example: `fleetctl taint gamma --reason "logged in during the incident"
    replaced as soon as its group's budget allows it; nothing else ends a taint`,
    load: async () => (await import('../signing/index.ts')).taint,
  },
  {
    usage: 'divergence',
    summary: "which hosts run something else than their group's last rollout brought, for how long and why",
    example: `fleetctl divergence
    exits with 1 where any does; a rollout that is under way is none`,
    load: async () => divergence,
  },
  {
    usage: 'drift [node]',
    summary: 'what a node runs, and how it differs from its image (default: this daemon)',
    flags: [{ flags: '--scan', help: 'compare now; otherwise what the last comparison found' }],
    example: `fleetctl drift gamma --scan --timeout 5m
    exits with 1 where a layer differs, is marked, or could not be compared`,
    load: async () => drift,
  },
  {
    usage: 'why <node>',
    summary: 'what led to what a node runs and to its marks, from effect to cause',
    example: `fleetctl why beta
    ... because permit 7 of group web (replace) - entry 41
    ... because plan 3 brings layer app of 5 nodes to shop:v2: new prices (by 1f0c...) - entry 38`,
    load: async () => why,
  },
]
