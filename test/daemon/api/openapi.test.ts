import { Validator } from '@seriousme/openapi-schema-validator'
import { expect, test } from 'vitest'
import { openapi } from '../../../daemon/api/openapi.ts'

test('the description is valid OpenAPI 3.1, and every reference in it leads somewhere', async () => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(openapi('1.2.3'))
  expect(errors).toBeUndefined()
  expect(valid).toBe(true)
  expect(validator.version).toBe('3.1')
  // Throws where a reference cannot be resolved.
  expect(JSON.stringify(validator.resolveRefs())).not.toContain('$ref')
})

test('a description with a mistake is not valid', async () => {
  const wrong = { ...openapi('1.2.3'), paths: { '/v1/info': { get: { responses: { 200: { content: {} } } } } } }
  expect((await new Validator().validate(wrong)).valid).toBe(false)
})

test('each operation has a name of its own', () => {
  const paths = Object.values(openapi('1.2.3').paths as Record<string, Record<string, { operationId?: string }>>)
  const names = paths.flatMap(methods => Object.values(methods).flatMap(({ operationId }) => operationId ?? []))
  expect(names).toContain('getImagesRefPeers')
  expect(new Set(names).size).toBe(names.length)
})
