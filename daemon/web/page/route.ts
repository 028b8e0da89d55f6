import { EVERYBODY, type Filter } from './fleet.ts'

/** Which part of the page is shown; kept behind the `#` of its address, so that it can be linked to and gone back from. */
export type Route =
  | { readonly view: 'fleet' | 'rollouts' | 'images' | 'events' }
  | { readonly view: 'members'; readonly filter: Filter }
  | { readonly view: 'member' | 'rollout' | 'image'; readonly name: string }

export function parseRoute(hash: string): Route {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?') as [string, string?]
  const [view, encoded = ''] = path.split('/') as [string, string?]
  const name = decoded(encoded)
  switch (view) {
    case 'members': {
      if (name !== '') return { view: 'member', name }
      const given = new URLSearchParams(query)
      const part = (key: keyof Filter): string => given.get(key) ?? EVERYBODY[key]
      const filter = { text: part('text'), condition: part('condition'), zone: part('zone'), group: part('group') }
      return { view, filter }
    }
    case 'rollouts':
      return name === '' ? { view } : { view: 'rollout', name }
    case 'images':
      return name === '' ? { view } : { view: 'image', name }
    case 'events':
      return { view }
    default:
      return { view: 'fleet' }
  }
}

/** A link to the members that pass this filter. */
export function membersLink(filter: Partial<Filter> = {}): string {
  const given = Object.entries(filter).filter(([, value]) => value !== '')
  return given.length === 0 ? '#/members' : `#/members?${new URLSearchParams(Object.fromEntries(given))}`
}

export const memberLink = (id: string): string => `#/members/${encodeURIComponent(id)}`
export const rolloutLink = (group: string): string => `#/rollouts/${encodeURIComponent(group)}`
export const imageLink = (digest: string): string => `#/images/${encodeURIComponent(digest)}`

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}
