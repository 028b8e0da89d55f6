import { matcherOf } from '../../../daemon/queries/patterns.ts'
import { LIMITS } from '../../../protocol/index.ts'
import { Broken, type Target } from '../target.ts'

/** Values of the largest kind that a member may have, made to keep a matcher that goes back and forth busy. */
const VALUES = ['a'.repeat(LIMITS.tagValue), `${'ab'.repeat(LIMITS.tagValue / 2 - 1)}c`, '', 'web-1.example']

/** The patterns for tags of a query that another member asked: the input is eight of them at most, each in a line. */
export const tagPatterns: Target = {
  name: 'tag-patterns',
  maxBytes: LIMITS.tagPatterns * (LIMITS.tagPattern + 2),
  refusals: ['bad-input'],
  seeds: () =>
    [
      'web.*',
      '(a+)+$',
      '(a|aa)*b',
      '(.*)(.*)(.*)(.*)(.*)(.*)c',
      '((a{1,10}){1,10}){1,10}',
      'a{1000}',
      '(?i)[[:alpha:]]+\\pL\\x{10ffff}',
      '(?P<name>a)(?:b)|\\Qa.b\\E',
      '[^\\d\\s]*\\bweb\\b',
      '(?=a)\\1',
      `${'('.repeat(128)}${')'.repeat(128)}`,
      'a*\na?\n(ab)*c\n.{0,40}\n\\w+\n[a-c]+\nx|y|z\n^$',
    ].map(text => Buffer.from(text)),
  async run(input) {
    const patterns = Buffer.from(input).toString().split('\n').slice(0, LIMITS.tagPatterns)
    const matches = await matcherOf(Object.fromEntries(patterns.map((pattern, at) => [`tag${at}`, pattern])))
    return patterns.map(pattern => VALUES.map(value => matches(pattern, value)))
  },
  verify(matched: boolean[][]) {
    for (const [pattern, answers] of matched.entries())
      if (answers.some(answer => typeof answer !== 'boolean')) throw new Broken(`pattern ${pattern} gave no answer`)
  },
}
