import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isReference, type Place, placeOf, sha256Of } from '../../../daemon/oci/names.ts'

// Names of repositories may be made of the words of the API itself.
const part = fc.oneof(
  fc.constantFrom('blobs', 'uploads', 'manifests', 'tags', 'list', 'referrers', 'v2', 'docker.io', 'a__b', 'a---b'),
  fc.stringMatching(/^[a-z0-9]{1,10}([._-][a-z0-9]{1,5})?$/),
)
const repository = fc.array(part, { minLength: 1, maxLength: 6 }).map(parts => parts.join('/'))
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,30}$/)
const digest = fc.stringMatching(/^sha256:[0-9a-f]{64}$/)
const place: fc.Arbitrary<Place> = fc.oneof(
  fc.record({ type: fc.constant('manifest' as const), repository, reference: fc.oneof(tag, digest) }),
  fc.record({ type: fc.constant('blob' as const), repository, digest }),
  fc.record({ type: fc.constant('uploads' as const), repository }),
  fc.record({ type: fc.constant('upload' as const), repository, id: fc.uuid() }),
  fc.record({ type: fc.constant('tags' as const), repository }),
  fc.record({ type: fc.constant('referrers' as const), repository, digest }),
)

function pathOf(to: Place): string {
  switch (to.type) {
    case 'base':
      return '/v2/'
    case 'manifest':
      return `/v2/${to.repository}/manifests/${to.reference}`
    case 'blob':
      return `/v2/${to.repository}/blobs/${to.digest}`
    case 'uploads':
      return `/v2/${to.repository}/blobs/uploads/`
    case 'upload':
      return `/v2/${to.repository}/blobs/uploads/${to.id}`
    case 'tags':
      return `/v2/${to.repository}/tags/list`
    case 'referrers':
      return `/v2/${to.repository}/referrers/${to.digest}`
    default:
      return to satisfies never
  }
}

test('a path is read as what it was written for, whatever words the repository is made of', () => {
  fc.assert(
    fc.property(place, to => {
      expect(placeOf(pathOf(to))).toEqual(to)
    }),
  )
})

test('a mirror reads the same path as that of the other registry', () => {
  fc.assert(
    fc.property(place, fc.constantFrom('docker.io', 'ghcr.io', 'registry.local:5000'), (to, ns) => {
      fc.pre(to.type !== 'base' && to.repository.length < 100)
      expect(placeOf(pathOf(to), ns)).toEqual({ ...to, repository: `${ns.replace(':', '_')}/${to.repository}` })
    }),
  )
})

test('what can be written into a path encoded is the same', () => {
  expect(placeOf(`/v2/team/shop/blobs/sha256%3A${'a'.repeat(64)}`)).toEqual({
    type: 'blob',
    repository: 'team/shop',
    digest: `sha256:${'a'.repeat(64)}`,
  })
})

test('no path is read as a name that is none', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.webPath()), text => {
      try {
        const found = placeOf(`/v2/${text}`)
        if (found.type !== 'base') expect(found.repository).toMatch(/^[a-z0-9][a-z0-9._/-]*$/)
      } catch (error) {
        expect(error).toMatchObject({ name: 'OciError' })
      }
    }),
  )
})

test('digests and references', () => {
  expect(sha256Of(`sha256:${'0'.repeat(64)}`)).toBe('0'.repeat(64))
  expect(sha256Of(`sha512:${'0'.repeat(128)}`)).toBeUndefined()
  for (const bad of [
    '',
    'sha256',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'0'.repeat(63)}`,
    `:${'0'.repeat(64)}`,
  ])
    expect(() => sha256Of(bad)).toThrow(expect.objectContaining({ code: 'DIGEST_INVALID' }))
  for (const good of ['v1', '_', 'A.b-c', 'x'.repeat(128), `sha256:${'0'.repeat(64)}`])
    expect(isReference(good)).toBe(true)
  for (const bad of ['', '.v1', '-v1', 'x'.repeat(129), 'a/b', 'sha256:0', 'a b']) expect(isReference(bad)).toBe(false)
})
