import type { Target } from '../target.ts'
import { api } from './api.ts'
import { bundle } from './bundle.ts'
import { dns } from './dns.ts'
import { document } from './document.ts'
import { eventFrame, gossip, linkFrame } from './gossip.ts'
import { chunkIndex, chunkPatch, imageDescription, manifest, swarmMessage } from './images.ts'
import { auditMessage, evidenceBundle, keptReport } from './keep.ts'
import { ledgerReply, ledgerRequest, ledgerValue } from './ledger.ts'
import { mdns } from './mdns.ts'
import { framing, handshake, linkOpen, rpc } from './network.ts'
import { ociDocument, ociRequest, pushMessage } from './oci.ts'
import { tagPatterns } from './patterns.ts'
import { reach } from './relay.ts'
import { serfRpc } from './serf-rpc.ts'
import { statement } from './statement.ts'
import { tar } from './tar.ts'
import { token } from './token.ts'

/** Every decoder of bytes that come from outside. A new one gets its line here. */
export const TARGETS: readonly Target[] = [
  ...[framing, handshake, linkOpen, linkFrame, eventFrame, gossip, rpc, mdns, reach],
  ...[statement, document, token],
  ...[ledgerValue, ledgerRequest, ledgerReply],
  ...[swarmMessage, imageDescription, manifest, chunkIndex, chunkPatch, bundle, tar],
  ...[ociRequest, ociDocument, pushMessage],
  ...[auditMessage, keptReport, evidenceBundle],
  ...[api, serfRpc, dns, tagPatterns],
]
