import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { office } from '../support/hosts.ts'
import { skipped } from '../support/netns.ts'
import { follow } from './follow.ts'

// Every document that says so in its first line is followed from its first command to its last, on hosts that were made for it: `npm run test:docs`.

const DOCS = resolve(import.meta.dirname, '../../docs')
const MARK = /^<!-- followed by test\/docs on (.+) -->\n/
const documents = readdirSync(DOCS)
  .filter(file => file.endsWith('.md'))
  .flatMap(file => {
    const text = readFileSync(join(DOCS, file), 'utf8')
    const names = MARK.exec(text)?.[1]?.split(', ')
    return names === undefined ? [] : [{ file, text, names }]
  })

describe.skipIf(skipped('test/docs'))('what the documents say can be done', () => {
  test.each(documents)(
    '$file',
    async ({ text, names }) => {
      const { computers, close } = await office(names)
      try {
        expect(await follow(text, computers)).toBeGreaterThan(0)
      } finally {
        close()
      }
    },
    600_000,
  )
})
