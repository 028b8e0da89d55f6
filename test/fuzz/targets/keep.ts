import {
  decodeFrom,
  decodeHeads,
  decodeNode,
  decodePage,
  encodeFrom,
  encodeHeads,
  encodeNode,
  encodePage,
  type Page,
} from '../../../daemon/audit/wire.ts'
import {
  auditGenesis,
  createAuditCheck,
  decode,
  type Evidence,
  encode,
  encodeEvidence,
  FleetError,
  type Kept,
  keptOf,
  LIMITS,
  nextEntry,
  openEvidence,
} from '../../../protocol/index.ts'
import { image } from '../../rollout/ledger/fixtures.ts'
import { assertSame, crowd, HOSTILE, nils, type Target } from '../target.ts'
import { NODE, NOW } from '../world.ts'

const line = nextEntry({ seq: 0, hash: auditGenesis(NODE) }, NOW, {
  ...{ kind: 'plan-refused', subject: 'web', by: '', text: 'no', detail: { plan: image('p') } },
}).line

/** What nodes ask and tell each other of their audit logs, and the lines of a log that another has written. */
export const auditMessage: Target = {
  name: 'audit-message',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encodeFrom({ entry: 7, line: 3 }),
    encodeNode(NODE),
    encodeHeads([new Uint8Array(9), new Uint8Array(LIMITS.auditHead)]),
    encodePage({ lines: [line, line.replace('no', 'yes')], next: { entry: 1, line: 2 } }),
    encodePage({ lines: [line], next: null }),
    encode({ lines: new Array(4_000).fill('x'.repeat(60)), next: null }),
    encode({ lines: new Array(4_000).fill('{"seq":'.repeat(30)), next: null }),
    encode({ lines: nils(500_000), next: null }),
    encode({ lines: { length: { toString: 1 } }, next: null }),
    encode(nils(500_000)),
  ],
  run(input) {
    for (const attempt of [decodeFrom, decodeNode, decodeHeads] as ((bytes: Uint8Array) => unknown)[]) {
      try {
        return attempt(input)
      } catch (error) {
        if (!(error instanceof FleetError)) throw error
      }
    }
    const page = decodePage(input)
    const check = createAuditCheck(NODE, [])
    for (const each of page.lines) check.take(each)
    check.end()
    return page
  },
  verify(value: Page | string | readonly Uint8Array[] | { entry: number; line: number }) {
    if (typeof value === 'string') assertSame('a node', value, decodeNode(encodeNode(value as never)))
    else if ('lines' in value) assertSame('a page', value, decodePage(encodePage(value)))
    else if ('entry' in value) assertSame('a place', value, decodeFrom(encodeFrom(value)))
    else assertSame('heads', value, decodeHeads(encodeHeads(value)))
  },
}

const kept: Kept = {
  layers: [
    {
      ...{ layer: 'app', image: image('v1'), version: 'shop:v1', since: NOW, until: null },
      marks: [{ why: 'hotfix', reason: 'ticket 812', by: 'ab', at: NOW, due: NOW }],
      compared: { at: NOW, files: 1, bytes: 2, differences: [{ path: 'a/b', what: 'content' }], total: 1, error: null },
    },
  ],
}

/** What a node says of what it runs. */
export const keptReport: Target = {
  name: 'kept-report',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encode(kept),
    encode({ layers: nils(500_000) }),
    encode({ layers: [{ ...kept.layers[0], marks: nils(500_000) }] }),
    encode({ layers: { length: { toString: 1 } } }),
    encode(crowd(60_000)),
  ],
  run: input => keptOf(decode(input, LIMITS.rpcMessage)),
  verify: (value: Kept) => assertSame('a report', value, keptOf(decode(encode(value), LIMITS.rpcMessage))),
}

const evidence: Evidence = {
  ...{ format: 'fleetd/evidence/1', node: NODE, name: 'web-1', layer: 'app', image: image('v1'), version: null },
  ...{ slot: 'a', at: NOW, cause: 'failed', reason: 'http 500', log: 'x' },
  program: { state: 'backoff', reason: 'exit code 3' },
  health: { health: 'failing', reason: 'http 500' },
  drift: { total: 1, differences: [{ path: 'a', what: 'content', content: 'eA==' }] },
}
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** A bundle of evidence that another node gives to keep. */
export const evidenceBundle: Target = {
  name: 'evidence-bundle',
  maxBytes: LIMITS.evidence + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    encodeEvidence(evidence).bytes,
    json({ ...evidence, drift: null }),
    json({ ...evidence, drift: { total: 1, differences: nils(50_000) } }),
    json({ ...evidence, drift: { total: 1, differences: { length: { toString: 1 } } } }),
    json(crowd(20_000)),
    Buffer.from('['.repeat(LIMITS.evidence)),
    Buffer.from('{"format":"fleetd/evidence/1","__proto__":{"node":1}}'),
    Uint8Array.of(0xff, 0xfe),
    new Uint8Array(LIMITS.evidence + 1).fill(0x20),
  ],
  run: openEvidence,
  verify: (value: Evidence) => assertSame('a bundle', value, openEvidence(encodeEvidence(value).bytes)),
}
