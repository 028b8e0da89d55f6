import fc from 'fast-check'
import { damaged, type Schema, valuesOf } from './json-schema.ts'

/** A request as it goes out. */
export interface Call {
  readonly name: string
  readonly method: string
  readonly path: string
  readonly body: string | undefined
}

interface Operation {
  readonly parameters?: readonly { name: string; in: 'path' | 'query'; required: boolean; schema: Schema }[]
  readonly requestBody?: { content: { 'application/json': { schema: Schema } } }
}

export interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

/** What a fuzzer must not do to the machine that it runs on: `name` is `METHOD PATH`. */
export type Tame = (name: string, body: unknown) => unknown

/**
 * Calls made from a description of the API: a third of them as it says, the others with something wrong in the body, the query or the
 * path. Every operation comes equally often. `tame` has the last word on a body.
 */
export function callsOf({ paths }: Description, skip: readonly string[], tame: Tame): fc.Arbitrary<Call> {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
  return fc.oneof(
    ...operations
      .filter(({ method, path }) => !skip.includes(`${method} ${path}`))
      .map(({ method, path, operation }) => callOf(`${method} ${path}`, operation, tame)),
  )
}

function callOf(name: string, { parameters = [], requestBody }: Operation, tame: Tame): fc.Arbitrary<Call> {
  const [method, path] = name.split(' ') as [string, string]
  const place = (where: 'path' | 'query') =>
    fc.record(
      Object.fromEntries(
        parameters.filter(each => each.in === where).map(each => [each.name, perhapsOdd(valuesOf(each.schema))]),
      ),
      { requiredKeys: parameters.filter(each => each.in === where && each.required).map(each => each.name) },
    )
  const body =
    requestBody === undefined
      ? fc.constant(undefined)
      : perhapsOdd(valuesOf(requestBody.content['application/json'].schema))
  const more = fc.option(fc.tuple(fc.string(), fc.string()), { freq: 8 })
  return fc.tuple(place('path'), place('query'), body, more).map(([segments, query, value, extra]) => {
    const filled = path.replaceAll(/\{(\w+)\}/g, (_, key: string) => encode(segments[key]))
    const search = [...Object.entries(query), ...(extra === null ? [] : [extra])]
      .flatMap(([key, given]) => [given].flat().map(each => `${encode(key)}=${encode(each)}`))
      .join('&')
    return {
      ...{ name, method, path: search === '' ? filled : `${filled}?${search}` },
      body: requestBody === undefined ? undefined : JSON.stringify(tame(name, value)),
    }
  })
}

const perhapsOdd = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 2, arbitrary: values }, { weight: 1, arbitrary: damaged(values) })

/** Through bytes, because lone surrogates have no encoding. */
const encode = (value: unknown): string =>
  encodeURIComponent(Buffer.from(typeof value === 'string' ? value : (JSON.stringify(value) ?? '')).toString())
