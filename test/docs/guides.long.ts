import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { office } from '../support/hosts.ts'
import { skipped } from '../support/netns.ts'
import { follow } from './follow.ts'

// Every document that says so in its first line is followed from its first command to its last, on hosts that were made for it: `npm run test:docs`.

const DOCS = resolve(import.meta.dirname, '../../docs')
const MARK = /^<!-- followed by test\/docs on (.+?)(?: at ([\d.]+))?(?: with (\w+))? -->\n/
const documents = readdirSync(DOCS)
  .filter(file => file.endsWith('.md'))
  .flatMap(file => {
    const text = readFileSync(join(DOCS, file), 'utf8')
    const [, names, network, program] = MARK.exec(text) ?? []
    return names === undefined ? [] : [{ file, text, names: names.split(', '), network, program }]
  })

describe.skipIf(skipped('test/docs'))('what the documents say can be done', () => {
  test.for(documents)('$file', { timeout: 600_000 }, async ({ file, text, names, network, program }, { skip }) => {
    if (program !== undefined && spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0)
      skip(`${program} not installed`)
    const { computers, close } = await office(names, network)
    try {
      const began = performance.now()
      const typed = await follow(text, computers)
      console.log(`${file}: ${typed} commands, ${((performance.now() - began) / 1000).toFixed(0)} s`)
      expect(typed).toBeGreaterThan(0)
    } finally {
      close()
    }
  })
})
