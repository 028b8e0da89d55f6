import { OciError } from '../../../daemon/oci/errors.ts'
import { isReference, type Place, placeOf, sha256Of } from '../../../daemon/oci/names.ts'
import { parseContentRange, parseRange } from '../../../daemon/oci/ranges.ts'
import {
  decodeIds,
  decodeQuestion,
  decodeStatements,
  encodeIds,
  encodeQuestion,
  encodeStatements,
  type Question,
} from '../../../daemon/pushes/wire.ts'
import { encode, FleetError, LIMITS } from '../../../protocol/index.ts'
import { MAX_DOCUMENT, MEDIA_TYPE, parseDocument } from '../../../rollout/index.ts'
import { image } from '../../rollout/ledger/fixtures.ts'
import { assertSame, Broken, HOSTILE, nils, type Target } from '../target.ts'

const text = (value: string): Uint8Array => Buffer.from(value, 'latin1')
const SIZE = 1_000

/** The first line and the ranges of a request to the registry: path, `ns`, Range and Content-Range, a line each. */
export const ociRequest: Target = {
  name: 'oci-request',
  maxBytes: 16 * 1024,
  refusals: ['bad-input'],
  seeds: () =>
    [
      '/v2/\n\n\n',
      '/v2/team/shop/manifests/v1\n\n\n',
      `/v2/team/shop/blobs/sha256:${'a'.repeat(64)}\ndocker.io\nbytes=0-9\n`,
      '/v2/team/shop/blobs/uploads/\n\n\n',
      '/v2/team/shop/blobs/uploads/4b9f6c1e-1d5c-4f0f-b2f4-1b0d7e6a1a11\n\nbytes=-5\n0-9',
      '/v2/team/shop/tags/list\nregistry.local:5000\nbytes=5-\n5-5',
      `/v2/team/shop/referrers/sha256:${'b'.repeat(64)}\n\n\n`,
      '/v2/%2e%2e/%2e%2e/manifests/v1\n\n\n',
      '/v2/%zz/manifests/v1\n../../etc\nbytes=9-1\n9-1',
      `/v2/${'a/'.repeat(4_000)}manifests/v1\n\n\n`,
      `/v2/${'a-'.repeat(400)}/manifests/v1\n\n\n`,
      `/v2/${'a__'.repeat(200)}!/manifests/v1\n\n\n`,
      `/v2/x/manifests/v1\n\nbytes=${'9'.repeat(4_000)}-${'9'.repeat(4_000)}\n${'9'.repeat(4_000)}-1`,
    ].map(text),
  run(input) {
    const [path = '', ns = '', range, contentRange] = Buffer.from(input).toString('latin1').split('\n')
    try {
      const asked = parseRange(range, SIZE)
      if (typeof asked === 'object' && !(0 <= asked.start && asked.start <= asked.end && asked.end < SIZE))
        throw new Broken(`the range ${range} leads out of the content`)
      parseContentRange(contentRange ?? '')
      const place = placeOf(path, ns)
      if ('digest' in place) sha256Of(place.digest)
      if ('reference' in place) isReference(place.reference)
      return place
    } catch (error) {
      if (error instanceof OciError) throw new FleetError('bad-input', error.message)
      throw error
    }
  },
  verify(place: Place) {
    if (place.type === 'base') return
    if (place.repository.split('/').some(part => part === '' || part === '.' || part === '..'))
      throw new Broken(`${place.repository} is not a name`)
  },
}

const descriptor = (size: number) => ({ mediaType: MEDIA_TYPE.manifest, digest: `sha256:${'c'.repeat(64)}`, size })
const manifest = { schemaVersion: 2, config: descriptor(1), layers: [descriptor(2)], subject: descriptor(3) }
const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value))

/** A manifest or an index that somebody pushed, here or elsewhere. */
export const ociDocument: Target = {
  name: 'oci-document',
  maxBytes: MAX_DOCUMENT + 64,
  refusals: ['bad-input', 'too-large'],
  seeds: () => [
    json(manifest),
    json({ ...manifest, mediaType: MEDIA_TYPE.dockerManifest, annotations: { a: 'b' }, artifactType: 'x/y' }),
    json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPE.index,
      manifests: [{ ...descriptor(1), platform: { os: 'linux' } }],
    }),
    json({ ...manifest, manifests: [] }),
    json({ ...manifest, layers: { length: { toString: 1 } } }),
    json({ ...manifest, layers: new Array(512).fill(descriptor(1)) }),
    json({ ...manifest, layers: nils(800_000) }),
    json({ ...manifest, layers: new Array(20_000).fill(descriptor(1)) }),
    json({ ...manifest, annotations: Object.fromEntries(nils(200_000).map((_, at) => [`k${at}`, ''])) }),
    json({ ...manifest, layers: new Array(500).fill({ ...descriptor(1), urls: new Array(64).fill('http://a/') }) }),
    text('['.repeat(MAX_DOCUMENT)),
    text(`{"a":${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}}`),
    text(`{"schemaVersion":2,"__proto__":{"manifests":[]},"layers":[]}`),
    text('{"schemaVersion":2,"schemaVersion":1,"config":{},"layers":[]}'),
    Uint8Array.of(0xff, 0xfe),
    new Uint8Array(MAX_DOCUMENT + 1).fill(0x20),
    new Uint8Array(MAX_DOCUMENT).fill(0x20),
  ],
  run: parseDocument,
}

/** What nodes ask and tell each other of pushes. */
export const pushMessage: Target = {
  name: 'push-message',
  maxBytes: LIMITS.rpcMessage + 64,
  refusals: ['corrupt', 'too-large'],
  seeds: () => [
    ...HOSTILE,
    encodeQuestion({ type: 'differ', summary: image('a') }),
    encodeQuestion({ type: 'get', ids: [image('a'), image('b')] }),
    encodeIds([image('a'), image('b')]),
    encodeStatements([new Uint8Array(9), new Uint8Array(LIMITS.push)]),
    encode(new Array(LIMITS.pushes + 1).fill(image('a'))),
    encode(nils(500_000)),
    encode(['get', { length: { toString: 1 } }]),
  ],
  run(input) {
    const attempts = [decodeQuestion, decodeIds, decodeStatements]
    for (const attempt of attempts.slice(0, -1)) {
      try {
        return attempt(input)
      } catch (error) {
        if (!(error instanceof FleetError)) throw error
      }
    }
    return decodeStatements(input)
  },
  verify(value: Question | readonly never[]) {
    if ('type' in value) assertSame('a question', value, decodeQuestion(encodeQuestion(value)))
    else
      assertSame(
        'a list',
        [...value],
        [...(isText(value) ? decodeIds(encodeIds(value)) : decodeStatements(encodeStatements(value)))],
      )
  },
}

const isText = (value: readonly unknown[]): boolean => value.length === 0 || typeof value[0] === 'string'
