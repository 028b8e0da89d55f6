import * as z from 'zod'
import { PROBLEM_TYPE, problemSchema, ROUTES, type Route } from '../../protocol/index.ts'

type Json = Record<string, unknown>

/** The description of the API in OpenAPI 3.1, made from the table of routes when it is asked for. */
export function openapi(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    const [method, path] = name.split(' ') as [string, string]
    const template = path.replaceAll(/:(\w+)/g, '{$1}')
    paths[template] = { ...paths[template], [method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: 'fleetd', version, description: 'The local API of a fleetd daemon.' },
    paths,
    components: { schemas: { Problem: schemaOf(problemSchema) } },
  }
}

function operation(route: Route): Json {
  const type =
    route.download === true
      ? 'application/octet-stream'
      : route.events === undefined
        ? 'application/json'
        : 'text/event-stream'
  const answer = route.result ?? route.events
  return {
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
      default: {
        description: 'What went wrong',
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    },
  }
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
