import fc from 'fast-check'

/** The part of JSON Schema 2020-12 that zod writes. */
export interface Schema {
  readonly type?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly pattern?: string
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
  readonly items?: Schema
  readonly minItems?: number
  readonly maxItems?: number
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: Schema | boolean
  readonly propertyNames?: Schema
}

/** Longer than any limit is not longer for long: what is generated stays small enough to send thousands of. */
const LONGEST = 400

/** Values that the schema allows, as far as a schema says it; what zod checks beyond that may still refuse them. */
export function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  const choices = schema.anyOf ?? schema.oneOf
  if (choices !== undefined) return fc.oneof(...choices.map(valuesOf))
  if (schema.allOf !== undefined) return valuesOf(Object.assign({}, ...schema.allOf))
  switch (schema.type) {
    case 'string':
      return textOf(schema)
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -(2 ** 31), max: Math.min(schema.maximum ?? 2 ** 31, 2 ** 40) })
    case 'number':
      return fc.double({ min: schema.minimum ?? -1e9, max: schema.maximum ?? 1e9, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'null':
      return fc.constant(null)
    case 'array':
      return fc.array(valuesOf(schema.items ?? {}), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 4, 4),
      })
    case 'object':
      return recordOf(schema)
    default:
      // No type: any value.
      return fc.jsonValue({ maxDepth: 2 })
  }
}

function textOf({ pattern, minLength = 0, maxLength = LONGEST }: Schema): fc.Arbitrary<string> {
  const most = Math.min(maxLength, LONGEST)
  const text =
    pattern === undefined ? fc.string({ minLength, maxLength: most }) : fc.stringMatching(new RegExp(pattern))
  // Filtered rather than built: a pattern and a length together are beyond `stringMatching`.
  return text.map(found => found.slice(0, most)).filter(found => found.length >= minLength)
}

function recordOf({ properties = {}, required = [], additionalProperties, propertyNames }: Schema) {
  const known = fc.record(
    Object.fromEntries(Object.entries(properties).map(([name, schema]) => [name, valuesOf(schema)])),
    { requiredKeys: required.filter(name => name in properties) },
  )
  if (typeof additionalProperties !== 'object') return known
  const more = fc.dictionary(textOf({ ...propertyNames, minLength: 1 }), valuesOf(additionalProperties), { maxKeys: 4 })
  return fc.tuple(known, more).map(([some, others]) => ({ ...others, ...some }))
}

/** What people and programs get wrong, and what somebody with bad intent would try. */
const ODD: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    0,
    -1,
    1e308,
    2 ** 53,
    true,
    [],
    {},
    '\0',
    '../../x',
    '__proto__',
    'x'.repeat(2_000),
  ),
  fc.constant(JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"toString":null}')),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary' }),
)

/** The value with one place of it changed for something odd, left out, or given twice. */
export const damaged = (values: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.tuple(values, ODD, fc.nat()).map(([value, odd, at]) => damage(value, odd, at))

function damage(value: unknown, odd: unknown, at: number): unknown {
  if (typeof value !== 'object' || value === null || at % 5 === 0) return odd
  if (Array.isArray(value)) {
    if (value.length === 0 || at % 3 === 0) return [...value, odd]
    return value.map((item, index) => (index === at % value.length ? damage(item, odd, at >> 2) : item))
  }
  const keys = Object.keys(value)
  if (keys.length === 0 || at % 7 === 0) return { ...value, [typeof odd === 'string' ? odd : 'other']: odd }
  const chosen = keys[at % keys.length]!
  const { [chosen]: old, ...rest } = value as Record<string, unknown>
  return at % 11 === 0 ? rest : { ...rest, [chosen]: damage(old, odd, at >> 2) }
}
