import { FleetError, LIMITS } from '../../protocol/index.ts'

/** Instructions that the patterns of one query may have together: with values of LIMITS.tagValue bytes matching takes some tens of milliseconds at the very worst. */
const MAX_PROGRAM = 500

/** Tells whether a pattern matches a whole value. */
export type Matcher = (pattern: string, value: string) => boolean

/**
 * Makes the patterns of a query ready. They come from other nodes, so they run on RE2's algorithm, whose time is linear in the
 * value (Cox, "Regular expression matching can be simple and fast"), and their size is bounded. Throws `bad-input` naming the one that does not do.
 */
export async function matcherOf(tags: Readonly<Record<string, string>>): Promise<Matcher> {
  if (Object.keys(tags).length === 0) return () => true
  // Loaded only where somebody asks by tag.
  const { RE2JS } = await import('re2js')
  const compiled = new Map<string, { matches(value: string): boolean }>()
  let size = 0
  for (const pattern of new Set(Object.values(tags))) {
    if (pattern.length > LIMITS.tagPattern)
      throw new FleetError('bad-input', `a pattern has at most ${LIMITS.tagPattern} characters, not ${pattern.length}`)
    try {
      const expression = RE2JS.compile(pattern)
      size += expression.programSize()
      compiled.set(pattern, expression)
    } catch (cause) {
      throw new FleetError(
        'bad-input',
        `${JSON.stringify(pattern)} is not a regular expression that can be used here (RE2's syntax, without look-around and back-references): ${(cause as Error).message}`,
        { cause },
      )
    }
  }
  if (size > MAX_PROGRAM)
    throw new FleetError(
      'bad-input',
      `the patterns for tags are too large together (${size} steps of at most ${MAX_PROGRAM}); use shorter ones, and smaller counts of repetition`,
    )
  return (pattern, value) => compiled.get(pattern)!.matches(value)
}
