import type { KeptLayer, KeptView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { plain, plural, size, span, stamp } from '../text.ts'

/** Exit 1 where something differs or could not be compared. */
export async function run(
  context: Context,
  node: string | undefined,
  { scan = false }: { readonly scan?: boolean },
): Promise<number> {
  const kept: KeptView = scan
    ? await context.client.call('POST /v1/drift', { body: node === undefined ? {} : { node } })
    : await context.client.call('GET /v1/drift', { query: { node } })
  context.show(kept, () =>
    kept.layers.length === 0
      ? `${kept.name} has no layers`
      : kept.layers
          .flatMap(layer => linesOf(kept.name, layer))
          .map(plain)
          .join('\n'),
  )
  return kept.layers.every(({ marks, compared }) => marks.length === 0 && (compared?.error ?? null) === null) ? 0 : 1
}

function linesOf(name: string, { layer, version, image, compared, marks, since, until }: KeptLayer): string[] {
  const what = `${name}, layer ${layer}`
  if (image === null) return [`${what}: nothing is installed`]
  const age = since === null ? '' : `, for ${span(Date.now() - since)}`
  const limit = until === null ? '' : `, until ${stamp(until)} at most`
  const runs = `${what}: ${version ?? image.slice(0, 12)}${age}${limit}`
  const seen =
    compared === null
      ? '  not compared yet; fleetctl drift --scan compares now'
      : compared.error !== null
        ? `  could not be compared: ${compared.error}`
        : `  ${compared.total === 0 ? 'is its image' : `differs in ${plural(compared.total, 'place')}`}: ${plural(compared.files, 'file')}, ${size(compared.bytes)}, at ${stamp(compared.at)}`
  return [
    runs,
    seen,
    ...(compared?.differences ?? []).map(({ path, what }) => `    ${what.padEnd(10)} ${path}`),
    ...marks.map(
      ({ why, reason, at, due }) =>
        `  marked (${why}) at ${stamp(at)}: ${reason}${due > Date.now() ? `; to be replaced at ${stamp(due)}` : ''}`,
    ),
  ]
}
