import { stringify } from 'yaml'
import * as z from 'zod'
import { type Policy, policyGroupSchema, policySchema } from '../../protocol/index.ts'
import { readYaml } from './yaml-file.ts'

const group = policyGroupSchema.partial({ genesisVoters: true }).strict()
const policyFileSchema = policySchema
  .pick({ operators: true, threshold: true, publishers: true, pushes: true })
  .extend({
    groups: z.record(
      z.string(),
      group.nullable().transform(said => said ?? {}),
    ),
  })
  .strict()
/** What operators may change of a policy, as a file has it. */
export type PolicyFile = z.output<typeof policyFileSchema>

/** Throws `bad-input` with file, line and what was expected. */
export const readPolicyFile = (file: string): Promise<PolicyFile> => readYaml(file, policyFileSchema)

/** The policy as a file to change, which `readPolicyFile` reads. First voters are left out: what has begun somewhere is not begun again elsewhere. */
export function formatPolicyFile({ version, operators, threshold, publishers, pushes, groups }: Policy): string {
  const budgets = Object.fromEntries(
    Object.entries(groups).map(([name, { maxUnavailable }]) => [
      name,
      maxUnavailable === undefined ? {} : { maxUnavailable },
    ]),
  )
  return [
    `# Policy ${version}. Change what is to be another, then: fleetctl policy apply FILE`,
    '',
    '# Who may give orders: public keys, as "fleetctl key show" prints them.',
    stringify({ operators }),
    '# How many of them have to sign a plan, and the next policy.',
    stringify({ threshold }),
    '# Whose keys endorse images.',
    stringify({ publishers }),
    '# Whose registry (--oci) takes pushes: that of all members, or of publishers alone.',
    stringify({ pushes: pushes ?? 'members' }),
    '# The most of a group that may be down at once, whatever a plan asks: a count or a share, as 25%. "*" is every group that is not named.',
    stringify({ groups: budgets }),
  ].join('\n')
}
