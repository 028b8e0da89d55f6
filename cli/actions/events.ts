import type { EventView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { plain } from '../text.ts'

interface Options {
  readonly since?: string
  readonly follow?: true
}

/** Characters of a payload that are shown in a line of text. */
const SHOWN = 120
/** Wide enough for most; a longer name pushes its line to the right, and is never cut. */
const WIDTHS = { count: 8, name: 16 }

export async function run(context: Context, options: Options): Promise<undefined> {
  const query = { since: options.since, follow: options.follow === true ? ('true' as const) : ('false' as const) }
  let headed = false
  await context.client.stream('GET /v1/events', { query }, event => {
    if (context.json) return context.emit(event)
    if (!headed)
      context.print(context.paint('bold', line('CURSOR', 'LTIME', 'TIME'.padEnd(24), 'AUTHOR', 'NAME', 'PAYLOAD')))
    headed = true
    context.print(
      line(
        String(event.cursor),
        String(event.ltime),
        new Date(event.at).toISOString(),
        plain(event.authorName),
        plain(event.name),
        textOf(event),
      ),
    )
  })
  return
}

const line = (cursor: string, ltime: string, time: string, author: string, name: string, payload: string): string =>
  [
    cursor.padStart(WIDTHS.count),
    ltime.padStart(WIDTHS.count),
    time,
    author.padEnd(WIDTHS.name),
    name.padEnd(WIDTHS.name),
    payload,
  ].join('  ')

/** The payload as text where it is text; otherwise how long it is. */
function textOf({ payload }: EventView): string {
  const bytes = Buffer.from(payload, 'base64url')
  if (bytes.byteLength === 0) return '-'
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `(${bytes.byteLength} bytes)`
  }
  const shown = plain(text.trimEnd())
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}… (${bytes.byteLength} bytes)` : shown
}
