import type { MemberView } from '../protocol/api/index.ts'
import { FleetError } from '../protocol/errors.ts'
import type { Context } from './context.ts'

/** The member that a person means: by name, by id, or by the beginning of one. Throws `not-found`, or `conflict` naming the candidates. */
export async function findNode({ client }: Context, text: string): Promise<MemberView> {
  const { members } = await client.call('GET /v1/members')
  const exact = members.filter(member => member.id === text || member.name === text)
  const matching =
    exact.length > 0 ? exact : members.filter(member => member.id.startsWith(text) || member.name.startsWith(text))
  const [found, ...others] = matching
  if (found === undefined)
    throw new FleetError('not-found', `no member is called ${JSON.stringify(text)}; see: fleetctl members`)
  if (others.length > 0) {
    const candidates = matching.slice(0, 5).map(member => `${member.name} (${member.id})`)
    throw new FleetError(
      'conflict',
      `${JSON.stringify(text)} may mean any of ${candidates.join(', ')}; give more of its id`,
    )
  }
  return found
}

/** The group that was named, or this daemon's own. */
export async function groupOr(context: Context, group: string | undefined): Promise<string> {
  return group ?? (await context.client.call('GET /v1/info')).group
}
