import { readFile } from 'node:fs/promises'
import * as z from 'zod'
import { FleetError } from '../../protocol/errors.ts'
import {
  AUDIT_HEAD,
  type AuditVerified,
  createAuditCheck,
  type FleetId,
  fields,
  nodeIdOf,
  open,
  type SignedHead,
} from '../../protocol/index.ts'

const headSchema = z.object({
  format: z.literal('fleetd/audit/1'),
  fleet: fields.digest.transform(text => text as string as FleetId),
  node: fields.nodeId,
  name: z.string(),
  heads: z.array(z.string()),
})

/** Checks an exported log with no daemon at all. Throws `bad-input` for what is no export. */
export async function verifyFile(file: string): Promise<AuditVerified['logs'][number]> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw new FleetError('bad-input', `cannot read ${file}: ${(error as Error).message}`)
  })
  const [first = '', ...lines] = text.split('\n')
  const { fleet, node, name, heads } = headOf(first, file)
  const signed: SignedHead[] = []
  for (const text of heads) {
    try {
      const { body, clock, signers } = open(AUDIT_HEAD, fleet, Uint8Array.from(Buffer.from(text, 'base64url')))
      if (body.node === node && signers.length === 1 && nodeIdOf(signers[0]!) === node)
        signed.push({ seq: body.seq, hash: body.hash, at: clock })
    } catch {
      // Somebody has put it there whom the node did not give it to.
    }
  }
  const check = createAuditCheck(node, signed)
  for (const line of lines) if (line !== '') check.take(line)
  return { node, name, witnesses: 0, error: null, ...check.end() }
}

function headOf(line: string, file: string): z.output<typeof headSchema> {
  try {
    return headSchema.parse(JSON.parse(line))
  } catch {
    throw new FleetError(
      'bad-input',
      `${file} is no exported audit log; make one with: fleetctl audit export > ${file}`,
    )
  }
}
