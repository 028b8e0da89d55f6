import type { EventView } from '../../protocol/api/index.ts'
import type { Context } from '../context.ts'
import { block } from '../fit.ts'
import { plain, stamp } from '../text.ts'

interface Options {
  readonly since?: string
  readonly follow?: true
}

/** Characters of a payload that are shown in a line of text. */
const SHOWN = 120
/** Wide enough for most; a longer name pushes its line to the right, and is never cut. */
const WIDTHS = { count: 8, time: 20, name: 16 }
/** A terminal of fewer columns has each payload below its event. */
const WIDE = 120

export async function run(context: Context, options: Options): Promise<undefined> {
  const query = { since: options.since, follow: options.follow === true ? ('true' as const) : ('false' as const) }
  const { width, paint } = context
  const narrow = width !== undefined && width < WIDE
  let headed = false
  await context.client.stream('GET /v1/events', { query }, event => {
    if (context.json) return context.emit(event)
    if (!headed)
      context.print(
        paint(
          'bold',
          narrow
            ? short('CURSOR', 'TIME', 'NAME, AUTHOR AND PAYLOAD')
            : line('CURSOR', 'LTIME', 'TIME', 'AUTHOR', 'NAME', 'PAYLOAD'),
        ),
      )
    headed = true
    const [cursor, time, author, name] = [
      String(event.cursor),
      stamp(event.at),
      plain(event.authorName),
      plain(event.name),
    ]
    const payload = textOf(event)
    if (!narrow) return context.say(line(cursor, String(event.ltime), time, author, name, payload))
    context.print(block(short(cursor, time, ''), `${name} by ${author}`, width, 'hard'))
    if (payload !== NOTHING) context.print(block(short('', '', ''), payload, width, 'hard'))
  })
  return
}

const line = (cursor: string, ltime: string, time: string, author: string, name: string, payload: string): string =>
  [
    cursor.padStart(WIDTHS.count),
    ltime.padStart(WIDTHS.count),
    time.padEnd(WIDTHS.time),
    author.padEnd(WIDTHS.name),
    name.padEnd(WIDTHS.name),
    payload,
  ].join('  ')

const short = (cursor: string, time: string, rest: string): string =>
  [cursor.padStart(WIDTHS.count), time.padEnd(WIDTHS.time), rest].join('  ')

const NOTHING = '-'

/** The payload as text where it is text; otherwise how long it is. */
function textOf({ payload }: EventView): string {
  const bytes = Buffer.from(payload, 'base64url')
  if (bytes.byteLength === 0) return NOTHING
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return `(${bytes.byteLength} bytes)`
  }
  const shown = plain(text.trimEnd())
  return shown.length > SHOWN ? `${shown.slice(0, SHOWN)}… (${bytes.byteLength} bytes)` : shown
}
