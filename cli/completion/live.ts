import type { MemberView } from '../../protocol/api/index.ts'
import type { Client } from '../client.ts'
import { short, size } from '../text.ts'
import type { Candidate, Live } from './wanted.ts'

/** The names that the daemon knows now, each with what tells it from the others. `group` is the one that was given on the line. */
export async function liveNames(client: Client, what: Live, group: string | undefined): Promise<Candidate[]> {
  switch (what) {
    case 'node':
      return nodes(await members(client))
    case 'group':
      return counted(await members(client), member => [member.group])
    case 'zone':
      return counted(await members(client), member => [member.zone])
    case 'layer':
      return counted(await members(client), member => member.layers.map(({ layer }) => layer))
    case 'service': {
      const { services } = await client.call('GET /v1/services', { query: {} })
      return [...new Set(services.map(({ service }) => service))].map(word => ({ word, help: 'service' }))
    }
    case 'image': {
      const { images } = await client.call('GET /v1/images')
      return images.map(image => ({
        word: `${image.name}:${image.version}`,
        help: `${short(image.digest)}, ${size(image.size)}`,
      }))
    }
    case 'evidence': {
      const { evidence } = await client.call('GET /v1/evidence', { query: {} })
      return evidence.map(each => ({ word: each.digest.slice(0, 12), help: `${each.name}, ${each.reason}` }))
    }
    case 'generation': {
      const named = group ?? (await client.call('GET /v1/info')).group
      const { generations } = await client.call('GET /v1/rollouts/:group/history', { params: { group: named } })
      return generations.map(({ generation, image }) => ({ word: `${generation}`, help: image.version }))
    }
  }
}

const members = async (client: Client): Promise<readonly MemberView[]> => (await client.call('GET /v1/members')).members

/** By name; where two have the same, by id. */
function nodes(all: readonly MemberView[]): Candidate[] {
  const sameName = new Map<string, number>()
  for (const { name } of all) sameName.set(name, (sameName.get(name) ?? 0) + 1)
  return all.map(({ name, id, status, group }) =>
    sameName.get(name) === 1
      ? { word: name, help: `${status}, group ${group}` }
      : { word: id, help: `${name}, ${status}, group ${group}` },
  )
}

function counted(all: readonly MemberView[], namesOf: (member: MemberView) => readonly string[]): Candidate[] {
  const counts = new Map<string, number>()
  for (const member of all) for (const name of namesOf(member)) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([word, count]) => ({ word, help: `${count} of them` }))
}
