import { run as auditExport } from '../actions/audit-export.ts'
import { run as auditList } from '../actions/audit-list.ts'
import { run as auditVerify } from '../actions/audit-verify.ts'
import { run as why } from '../actions/why.ts'
import type { Group, Spec } from '../spec.ts'
import { cursor, positive } from '../values.ts'

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

export const KEEP: readonly Spec[] = [
  {
    usage: 'why <node>',
    summary: 'what led to what a node runs and to its marks, from effect to cause',
    example: `fleetctl why beta
    ... because permit 7 of group web (replace) - entry 41
    ... because plan 3 brings layer app of 5 nodes to shop:v2: new prices (by 1f0c...) - entry 38`,
    load: async () => why,
  },
]
