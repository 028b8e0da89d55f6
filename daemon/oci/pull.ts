import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Digest, toFleetError } from '../../protocol/index.ts'
import { MEDIA_TYPE } from '../../rollout/index.ts'
import type { Pushes } from '../pushes/index.ts'
import { OciError } from './errors.ts'
import type { Library } from './library.ts'
import { isReference, sha256Of } from './names.ts'
import { page } from './pages.ts'
import { parseRange } from './ranges.ts'
import type { Staging } from './staging.ts'

/** Referrers in one answer: each of them is a manifest that is looked at, and may have to be fetched. */
const MAX_REFERRERS = 100
/** Content that is named by its digest never changes. Seconds: a year, the most that RFC 9111 caches are asked for. */
const FOR_EVER = 'max-age=31536000, immutable'

export interface PullInit {
  readonly library: Library
  readonly staging: Staging
  readonly pushes: Pick<Pushes, 'of'>
}

/** GET and HEAD of the distribution-spec. */
export interface Pull {
  manifest(request: FastifyRequest, reply: FastifyReply, repository: string, reference: string): Promise<FastifyReply>
  blob(request: FastifyRequest, reply: FastifyReply, repository: string, digest: string): Promise<FastifyReply>
  tags(request: FastifyRequest, reply: FastifyReply, repository: string): FastifyReply
  referrers(request: FastifyRequest, reply: FastifyReply, repository: string, digest: string): Promise<FastifyReply>
}

export function createPull({ library, staging, pushes }: PullInit): Pull {
  /** Where a blob's bytes come from: an upload that no manifest names yet, or an image. */
  const source = async (
    repository: string,
    digest: Digest,
  ): Promise<{ size: number; open(start: number, end: number, signal: AbortSignal): Readable } | undefined> => {
    const staged = staging.sizeOf(digest)
    if (staged !== undefined)
      return {
        size: staged,
        open: (start, end) => (end === start ? Readable.from([]) : staging.read(digest, { start, end: end - 1 })),
      }
    const held = await library.find(repository, digest)
    if (held === undefined) return undefined
    return {
      size: held.span.size,
      open: (start, end, signal) => Readable.from(library.read(held, start, end, signal), { objectMode: false }),
    }
  }

  return {
    async manifest(request, reply, repository, reference) {
      const found = isReference(reference) ? await library.manifest(repository, reference) : undefined
      if (found === undefined)
        throw new OciError(404, 'MANIFEST_UNKNOWN', `${repository} has no ${JSON.stringify(reference.slice(0, 200))}`)
      const { digest, bytes, document } = found
      reply.headers({
        'content-type': document.mediaType,
        'content-length': bytes.byteLength,
        'docker-content-digest': `sha256:${digest}`,
        etag: `"sha256:${digest}"`,
        'cache-control': reference.includes(':') ? FOR_EVER : 'no-cache',
      })
      if (isFresh(request, digest)) return reply.code(304).removeHeader('content-length').send()
      return reply.send(request.method === 'HEAD' ? undefined : bytes)
    },

    async blob(request, reply, repository, name) {
      const digest = sha256Of(name)
      const found = digest === undefined ? undefined : await source(repository, digest)
      if (digest === undefined || found === undefined)
        throw new OciError(404, 'BLOB_UNKNOWN', `${repository} has no blob ${name}`, { detail: { digest: name } })
      reply.headers({
        'content-type': 'application/octet-stream',
        'docker-content-digest': name,
        etag: `"${name}"`,
        'cache-control': FOR_EVER,
        'accept-ranges': 'bytes',
      })
      if (isFresh(request, digest)) return reply.code(304).send()
      const { size } = found
      const condition = request.headers['if-range']
      const asked = condition === undefined || condition === `"${name}"` ? request.headers.range : undefined
      const range = request.method === 'GET' ? parseRange(asked, size) : 'whole'
      if (range === 'none')
        throw new OciError(416, 'SIZE_INVALID', `the blob has ${size} bytes`, {
          headers: { 'content-range': `bytes */${size}` },
        })
      const { start, end } = range === 'whole' ? { start: 0, end: size } : { start: range.start, end: range.end + 1 }
      reply.header('content-length', end - start)
      if (range !== 'whole') reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${size}`)
      if (request.method === 'HEAD' || end === start) return reply.send()
      const gone = new AbortController()
      reply.raw.once('close', () => gone.abort())
      return reply.send(found.open(start, end, gone.signal))
    },

    tags(request, reply, repository) {
      const live = pushes.of(repository)
      if (live.length === 0) throw new OciError(404, 'NAME_UNKNOWN', `nothing was pushed to ${repository}`)
      const tags = live.map(({ body }) => body.reference).filter(reference => !reference.includes(':'))
      const { items, next } = page(tags, tag => tag, request.query as Query)
      if (next !== undefined) reply.header('link', `</v2/${repository}/tags/list?${next}>; rel="next"`)
      return reply.send({ name: repository, tags: items })
    },

    async referrers(request, reply, repository, name) {
      const subject = sha256Of(name)
      const { artifactType, ...paging } = request.query as Query & { artifactType?: string }
      const all = new Set(
        pushes
          .of(repository)
          .flatMap(({ body: { pushed } }) =>
            pushed.subject !== null && pushed.subject === subject ? [pushed.manifest] : [],
          ),
      )
      const { items, next } = page([...all], digest => digest, paging, MAX_REFERRERS)
      const manifests = (await Promise.all(items.map(digest => describe(repository, digest)))).filter(
        found => found !== undefined,
      )
      if (next !== undefined) {
        const filter = artifactType === undefined ? '' : `&artifactType=${encodeURIComponent(artifactType)}`
        reply.header('link', `</v2/${repository}/referrers/${name}?${next}${filter}>; rel="next"`)
      }
      if (artifactType !== undefined) reply.header('oci-filters-applied', 'artifactType')
      reply.header('content-type', MEDIA_TYPE.index)
      const listed = manifests.filter(found => artifactType === undefined || found.artifactType === artifactType)
      return reply.send(
        Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.index, manifests: listed })),
      )
    },
  }

  /** A manifest as a list of referrers has it; undefined when nobody who has it can be reached. */
  async function describe(repository: string, digest: Digest) {
    const found = await library.manifest(repository, `sha256:${digest}`).catch(error => {
      if (toFleetError(error).code === 'internal') throw error
      return undefined
    })
    if (found === undefined) return undefined
    const { mediaType, artifactType, annotations } = found.document
    return { mediaType, digest: `sha256:${digest}`, size: found.bytes.byteLength, artifactType, annotations }
  }
}

interface Query {
  readonly n?: string
  readonly last?: string
}

/** Whether the client has it already (RFC 9110, If-None-Match). */
const isFresh = (request: FastifyRequest, digest: Digest): boolean =>
  (request.headers['if-none-match'] ?? '').split(',').some(tag => tag.trim() === `"sha256:${digest}"`)
