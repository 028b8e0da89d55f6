import type { Context } from '../context.ts'
import { plain, stamp } from '../text.ts'
import { by } from './audit-list.ts'

/** From effect to cause: what the node runs, and below it what led to that. */
export async function run(context: Context, node: string): Promise<undefined> {
  const why = await context.client.call('GET /v1/why/:node', { params: { node } })
  context.show(why, () =>
    why.causes.length === 0
      ? `the audit log of ${why.name} tells of no replacement and of no mark`
      : why.causes
          .map(({ layer, steps }) =>
            [
              context.paint('bold', plain(layer === null ? why.name : `${why.name}, layer ${layer}`)),
              ...steps.map(({ seq, at, text, by: who }, index) =>
                plain(
                  `  ${index === 0 ? '' : 'because '}${text}${who === '' ? '' : ` (by ${by(who)})`} - entry ${seq}, ${stamp(at)}`,
                ),
              ),
            ].join('\n'),
          )
          .join('\n'),
  )
  return
}
