import { type Digest, fields } from '../../protocol/index.ts'
import { OciError } from './errors.ts'

/** What the path of a request names. */
export type Place =
  | { readonly type: 'base' }
  | { readonly type: 'manifest'; readonly repository: string; readonly reference: string }
  | { readonly type: 'blob'; readonly repository: string; readonly digest: string }
  | { readonly type: 'uploads'; readonly repository: string }
  | { readonly type: 'upload'; readonly repository: string; readonly id: string }
  | { readonly type: 'tags'; readonly repository: string }
  | { readonly type: 'referrers'; readonly repository: string; readonly digest: string }

/** Far beyond what any of them needs. */
const MAX_PATH = 1024

/**
 * Reads a path of the distribution-spec ("Endpoints"). Names have slashes and may have parts that are words of the API, so it is read from
 * its end. `ns` is the registry that containerd asks this one in the place of: `docker.io` makes of `library/nginx` the
 * repository `docker.io/library/nginx`. Throws OciError.
 */
export function placeOf(path: string, ns?: string): Place {
  if (path === '/v2/' || path === '/v2') return { type: 'base' }
  if (!path.startsWith('/v2/') || path.length > MAX_PATH) throw nowhere(path)
  const parts = path.slice('/v2/'.length).split('/').map(decoded)
  const repositoryOf = (rest: number): string => repository(parts.slice(0, -rest), ns)
  const [before = '', second = '', last = ''] = parts.slice(-3)
  if (second === 'tags' && last === 'list') return { type: 'tags', repository: repositoryOf(2) }
  if (before === 'blobs' && second === 'uploads' && last === '') return { type: 'uploads', repository: repositoryOf(3) }
  if (before === 'blobs' && second === 'uploads') return { type: 'upload', repository: repositoryOf(3), id: last }
  if (second === 'blobs' && last === 'uploads') return { type: 'uploads', repository: repositoryOf(2) }
  if (second === 'manifests') return { type: 'manifest', repository: repositoryOf(2), reference: last }
  if (second === 'blobs') return { type: 'blob', repository: repositoryOf(2), digest: last }
  if (second === 'referrers') return { type: 'referrers', repository: repositoryOf(2), digest: last }
  throw nowhere(path)
}

/** `sha256:HEX` as a digest; undefined for another algorithm, which is one that nothing here has. Throws `DIGEST_INVALID` on what is none. */
export function sha256Of(text: string): Digest | undefined {
  const [, algorithm, encoded] = /^([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)$/.exec(text) ?? []
  if (algorithm === undefined || (algorithm === 'sha256' && !/^[0-9a-f]{64}$/.test(encoded!)))
    throw new OciError(400, 'DIGEST_INVALID', `${quoted(text)} is not a digest; expected sha256: and 64 hex digits`)
  return algorithm === 'sha256' ? (encoded as Digest) : undefined
}

/** A tag, or a digest of sha256. */
export const isReference = (text: string): boolean => fields.reference.safeParse(text).success

/** Throws `NAME_INVALID`. */
export function repository(parts: readonly string[], ns?: string): string {
  // A registry's port is written with an underscore, which is how clients that know no `ns` can write it too.
  const name = [...(ns === undefined || ns === '' ? [] : [ns.toLowerCase().replace(':', '_')]), ...parts].join('/')
  const found = fields.repository.safeParse(name)
  if (!found.success)
    throw new OciError(400, 'NAME_INVALID', `${quoted(name)}: ${found.error.issues[0]?.message ?? 'not a repository'}`)
  return name
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new OciError(400, 'NAME_INVALID', `${quoted(part)} in the path is not well encoded`)
  }
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 200))
const nowhere = (path: string): OciError =>
  new OciError(404, 'UNSUPPORTED', `there is no ${quoted(path)} in a registry`)
