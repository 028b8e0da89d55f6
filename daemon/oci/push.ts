import type { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Digest } from '../../protocol/index.ts'
import { MAX_DOCUMENT } from '../../rollout/index.ts'
import { OciError } from './errors.ts'
import type { Library } from './library.ts'
import { isReference, sha256Of } from './names.ts'
import type { Publisher } from './publisher.ts'
import { uploadRange } from './ranges.ts'
import type { Staging } from './staging.ts'
import type { Incoming, Upload, Uploads } from './uploads.ts'

export interface PushInit {
  readonly uploads: Uploads
  readonly staging: Staging
  readonly library: Library
  readonly publisher: Publisher
  /** Throws where this node may take no pushes. */
  readonly assertMayPush: () => void
}

/** POST, PATCH, PUT and DELETE of the distribution-spec. */
export interface PushRoutes {
  begin(request: FastifyRequest, reply: FastifyReply, repository: string): Promise<FastifyReply>
  status(reply: FastifyReply, repository: string, id: string): FastifyReply
  append(request: FastifyRequest, reply: FastifyReply, repository: string, id: string): Promise<FastifyReply>
  finish(request: FastifyRequest, reply: FastifyReply, repository: string, id: string): Promise<FastifyReply>
  cancel(reply: FastifyReply, repository: string, id: string): Promise<FastifyReply>
  manifest(request: FastifyRequest, reply: FastifyReply, repository: string, reference: string): Promise<FastifyReply>
  remove(reply: FastifyReply, repository: string, reference: string): Promise<FastifyReply>
}

export const locationOf = ({ repository, id }: Upload): string => `/v2/${repository}/blobs/uploads/${id}`

export function createPush({ uploads, staging, library, publisher, assertMayPush }: PushInit): PushRoutes {
  const under = (reply: FastifyReply, upload: Upload): FastifyReply =>
    reply.headers({
      location: locationOf(upload),
      range: uploadRange(upload.bytes),
      'docker-upload-uuid': upload.id,
    })
  const created = (reply: FastifyReply, repository: string, digest: Digest): FastifyReply =>
    reply
      .code(201)
      .headers({ location: `/v2/${repository}/blobs/sha256:${digest}`, 'docker-content-digest': `sha256:${digest}` })
      .send()

  return {
    async begin(request, reply, repository) {
      assertMayPush()
      const { digest, mount, from } = request.query as { digest?: string; mount?: string; from?: string }
      if (mount !== undefined) {
        // It is the same blob in every repository: all that a mount has to find out is whether there is one.
        const blob = sha256Of(mount)
        const known =
          blob !== undefined &&
          (staging.sizeOf(blob) !== undefined || (await library.find(from ?? repository, blob)) !== undefined)
        if (known) return created(reply, repository, blob)
      }
      const expected = digest === undefined ? undefined : demanded(digest)
      const upload = await uploads.begin(repository)
      if (expected === undefined) return under(reply, upload).code(202).send()
      await uploads.finish(upload, expected, incoming(request)).catch(async error => {
        await uploads.cancel(upload).catch(() => undefined) // nobody knows its id
        throw error
      })
      return created(reply, repository, expected)
    },
    status: (reply, repository, id) => under(reply, uploads.find(repository, id)).code(204).send(),
    async append(request, reply, repository, id) {
      assertMayPush()
      const upload = uploads.find(repository, id)
      await uploads.append(upload, incoming(request))
      return under(reply, upload).code(202).send()
    },
    async finish(request, reply, repository, id) {
      assertMayPush()
      const upload = uploads.find(repository, id)
      const digest = demanded((request.query as { digest?: string }).digest ?? '')
      await uploads.finish(upload, digest, incoming(request))
      return created(reply, repository, digest)
    },
    async cancel(reply, repository, id) {
      await uploads.cancel(uploads.find(repository, id))
      return reply.code(204).send()
    },
    async manifest(request, reply, repository, reference) {
      assertMayPush()
      if (!isReference(reference))
        throw new OciError(
          400,
          'MANIFEST_INVALID',
          `${JSON.stringify(reference.slice(0, 200))} is no tag and no digest`,
        )
      const bytes = await whole(request)
      const contentType = request.headers['content-type']
      const { digest, subject } = await publisher.put({ repository, reference, contentType, bytes })
      if (subject !== undefined) reply.header('oci-subject', subject)
      return reply
        .code(201)
        .headers({
          location: `/v2/${repository}/manifests/sha256:${digest}`,
          'docker-content-digest': `sha256:${digest}`,
        })
        .send()
    },
    async remove(reply, repository, reference) {
      assertMayPush()
      if (!isReference(reference) || !(await publisher.remove(repository, reference)))
        throw new OciError(404, 'MANIFEST_UNKNOWN', `${repository} has no ${JSON.stringify(reference.slice(0, 200))}`)
      return reply.code(202).send()
    },
  }
}

/** A digest that content is to be checked against. */
function demanded(text: string): Digest {
  const digest = sha256Of(text)
  if (digest === undefined)
    throw new OciError(400, 'DIGEST_INVALID', `${text.slice(0, 40)}: this registry takes digests of sha256 alone`)
  return digest
}

const incoming = ({ body, headers }: FastifyRequest): Incoming => ({
  body: body as Readable | undefined,
  contentRange: headers['content-range'],
  contentLength: headers['content-length'],
})

async function whole({ body, headers }: FastifyRequest): Promise<Uint8Array> {
  const tooLarge = (): OciError =>
    new OciError(413, 'MANIFEST_INVALID', `a manifest may have ${MAX_DOCUMENT} bytes`, {
      headers: { connection: 'close' },
    })
  if (Number(headers['content-length'] ?? 0) > MAX_DOCUMENT) throw tooLarge()
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of (body ?? []) as AsyncIterable<Buffer>) {
    size += piece.byteLength
    if (size > MAX_DOCUMENT) throw tooLarge()
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
