import { isDeepStrictEqual } from 'node:util'
import {
  type Authority,
  FleetError,
  genesisVotersOf,
  type Policy,
  type PublicKey,
  policySchema,
} from '../../protocol/index.ts'
import { plural } from '../text.ts'
import { checked } from './checked.ts'
import type { PolicyFile } from './policy-file.ts'

/** The policy that follows the current one and says what the file says. Throws `bad-input` or `refused` for what no daemon would take. */
export function nextPolicy(authority: Authority, { groups, pushes, ...said }: PolicyFile): Policy {
  const { chain, policy } = authority
  if (said.threshold > said.operators.length)
    throw new FleetError(
      'bad-input',
      `threshold: ${said.threshold} signatures cannot come from ${plural(said.operators.length, 'operator')}`,
    )
  for (const field of ['operators', 'publishers'] as const)
    if (new Set(said[field]).size < said[field].length)
      throw new FleetError('bad-input', `${field}: a key is named twice`)
  return checked(policySchema, {
    ...said,
    version: policy.version + 1,
    previous: chain.at(-1)!.id,
    nonce: policy.nonce,
    // Absence means the same, and a policy that says what it said before is none.
    ...(pushes === 'publishers' || policy.pushes !== undefined ? { pushes: pushes ?? 'members' } : {}),
    groups: Object.fromEntries(
      Object.entries(groups).map(([name, group]) => [name, { ...group, genesisVoters: firstVoters(name, group) }]),
    ),
  })

  function firstVoters(name: string, { genesisVoters: said }: PolicyFile['groups'][string]): readonly string[] {
    const begun = genesisVotersOf(authority, name)
    if (begun === undefined && said === undefined)
      throw new FleetError('bad-input', `groups.${name}: no policy has named its first voters yet; add genesisVoters`)
    if (begun !== undefined && said !== undefined && !isDeepStrictEqual(begun, said))
      throw new FleetError(
        'refused',
        `groups.${name}: its first voters were named by an earlier policy, and what has begun there is not begun again elsewhere; leave genesisVoters out`,
      )
    return said ?? begun!
  }
}

/** What another policy changes, in sentences; empty where it says the same. */
export function changes(before: Policy, after: Policy): string[] {
  return [
    ...keys('operator', before.operators, after.operators),
    ...(before.threshold === after.threshold
      ? []
      : [`${after.threshold} instead of ${before.threshold} of them have to sign a plan, and the next policy`]),
    ...keys('publisher', before.publishers, after.publishers),
    ...((before.pushes ?? 'members') === (after.pushes ?? 'members')
      ? []
      : [`registries take pushes at ${after.pushes === 'publishers' ? 'publishers alone' : 'all members'}`]),
    ...[...new Set([...Object.keys(before.groups), ...Object.keys(after.groups)])].flatMap(name => {
      const [was, is] = [before.groups[name], after.groups[name]]
      if (is === undefined) return [`group ${name} has no budget of its own any more`]
      if (was !== undefined && was.maxUnavailable === is.maxUnavailable) return []
      return [`group ${name}: ${budget(is)}${was === undefined ? '' : ` instead of ${budget(was)}`}`]
    }),
  ]
}

const budget = ({ maxUnavailable }: Policy['groups'][string]): string =>
  maxUnavailable === undefined ? 'as many down at once as the plan says' : `at most ${maxUnavailable} down at once`

const keys = (what: string, before: readonly PublicKey[], after: readonly PublicKey[]): string[] => [
  ...after.filter(key => !before.includes(key)).map(key => `+ ${what} ${key}`),
  ...before.filter(key => !after.includes(key)).map(key => `- ${what} ${key}`),
]

/** What is allowed and yet unwise about a change, in sentences for whoever is about to sign it. */
export function policyWarnings(before: Policy, after: Policy, own: PublicKey | undefined): string[] {
  const found: string[] = []
  if (own !== undefined && before.operators.includes(own) && !after.operators.includes(own))
    found.push('your own key is no operator any more when this is in force')
  if (after.operators.length > 1 && after.threshold === after.operators.length)
    found.push(
      `all ${after.operators.length} operators have to sign everything: when one key is lost nothing can be ordered or changed again`,
    )
  if (before.operators.some(key => !after.operators.includes(key)))
    found.push(
      'invites of an operator who is removed let nobody in any more, and plans under way need the signatures of those who stay',
    )
  if (before.publishers.some(key => !after.publishers.includes(key)))
    found.push('images that only a removed publisher has endorsed count as not endorsed')
  return found
}
