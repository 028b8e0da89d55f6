import * as z from 'zod'
import { PROBLEM_TYPE, problemSchema, ROUTES, type Route, readinessSchema } from '../../protocol/index.ts'

type Json = Record<string, unknown>

/** What is answered beside the table of routes: how it is summed up, and what comes back. */
const OTHERS: Readonly<Record<string, Json>> = {
  '/healthz': plain('That the daemon runs', { 200: json('It does', z.object({ ok: z.literal(true) })) }),
  '/readyz': plain('Whether the daemon takes part in its fleet, or waits to be claimed', {
    200: json('It is ready', readinessSchema),
    503: json('It is not, and why', readinessSchema),
  }),
  '/metrics': plain('Figures in the text format of Prometheus', {
    200: { description: 'The figures', content: { 'text/plain': { schema: { type: 'string' } } } },
  }),
  '/v1/openapi.json': plain('This description', { 200: json('OpenAPI 3.1', z.record(z.string(), z.unknown())) }),
}

/** The description of the API in OpenAPI 3.1, made from the table of routes when it is asked for. */
export function openapi(version: string): Json {
  const paths: Record<string, Json> = { ...OTHERS }
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    const [method, path] = name.split(' ') as [string, string]
    const template = path.replaceAll(/:(\w+)/g, '{$1}')
    paths[template] = { ...paths[template], [method.toLowerCase()]: operation(name, route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'fleetd',
      version,
      description: 'The local API of a fleetd daemon. Errors are problem documents (RFC 9457).',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    // A socket asks for nothing: who may open it is up to its permissions. A TCP address may ask for a token.
    security: [{}, { token: [] }],
    paths,
    components: {
      schemas: { Problem: schemaOf(problemSchema) },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
  }
}

function operation(name: string, route: Route): Json {
  const type =
    route.download === true
      ? 'application/octet-stream'
      : route.events === undefined
        ? 'application/json'
        : 'text/event-stream'
  const answer = route.result ?? route.events
  return {
    operationId: operationId(name),
    summary: route.summary,
    parameters: [...parameters('path', route.params), ...parameters('query', route.query)],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(route.body) } } } }),
    responses: {
      200: {
        description:
          route.events === undefined
            ? 'Done'
            : 'Server-Sent Events: `update`, then `result` or `problem`, each with JSON data',
        content: {
          [type]: {
            ...(answer === undefined ? {} : { schema: schemaOf(answer) }),
            ...(route.events === undefined ? {} : { 'x-update': schemaOf(route.events) }),
          },
        },
      },
      default: PROBLEM,
    },
  }
}

const PROBLEM = {
  description: 'What went wrong',
  content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
}

/** `GET /v1/images/:ref/peers` as `getImagesRefPeers`. */
function operationId(name: string): string {
  const [method = '', ...words] = name.replace(' /v1', '').match(/[A-Za-z]+/g) ?? []
  return method.toLowerCase() + words.map(word => word.charAt(0).toUpperCase() + word.slice(1)).join('')
}

function plain(summary: string, responses: Json): Json {
  return { get: { summary, responses } }
}

function json(description: string, schema: z.ZodType): Json {
  return { description, content: { 'application/json': { schema: schemaOf(schema) } } }
}

function parameters(place: 'path' | 'query', schema: z.ZodObject | undefined): Json[] {
  if (schema === undefined) return []
  return Object.entries(schema.shape).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path' || !z.safeParse(field, undefined).success,
    schema: schemaOf(field as z.ZodType),
  }))
}

function schemaOf(schema: z.ZodType): Json {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Json
  return rest
}
