import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadConfig } from '../../../daemon/config/index.ts'
import { runScript } from '../../../daemon/handlers/script.ts'
import { stdinOf, variablesOf } from '../../../daemon/handlers/script-input.ts'
import type { Happening } from '../../../daemon/happenings.ts'
import type { NodeId } from '../../../protocol/index.ts'
import { member, query, userEvent } from './support.ts'

const page = readFileSync(resolve(import.meta.dirname, '../../../docs/handlers.md'), 'utf8')
/** The blocks of a language in docs/handlers.md. */
const blocks = (language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(([, text]) => text!)

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-docs-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

it('documents a file that is good, with the defaults that it says', async () => {
  const path = join(dir, 'fleetd.yaml')
  writeFileSync(path, blocks('yaml')[0]!)
  const { config } = (await loadConfig(['--config', path], {}, '1'))!
  const { config: defaults } = (await loadConfig([], {}, '1'))!
  expect(config.eventHandler.map(({ filters }) => filters[0]!.type)).toEqual(['member-failed', 'user', 'query', '*'])
  expect([config.handlerTimeout, config.handlerConcurrency]).toEqual([
    defaults.handlerTimeout,
    defaults.handlerConcurrency,
  ])
})

it('documents commands whose scripts do what they seem to', async () => {
  const commands = blocks('sh')[0]!.trimEnd().split('\n')
  const specs = commands.map(line => /^fleetd --event-handler '(.*)'$/.exec(line)![1]!)
  const { config } = (await loadConfig(
    specs.flatMap(spec => ['--event-handler', spec]),
    {},
    '1',
  ))!
  const self = { id: 'me' as NodeId, name: 'me', class: 'cloud', group: 'web', zone: 'z1', tags: {} }
  const happenings: Happening[] = [
    { type: 'query', query: query('load') },
    { type: 'members', event: 'join', members: [member('a'), member('b')] },
    { type: 'event', event: userEvent(1, 'deploy', 'v2') },
  ]
  const printed: string[] = []
  for (const [index, { script }] of config.eventHandler.entries()) {
    const { ok, stdout } = await runScript({
      script: `cd ${dir}; ${script}`,
      variables: variablesOf(happenings[index]!, self, () => 'alpha'),
      stdin: stdinOf(happenings[index]!),
      timeout: 20_000,
      signal: new AbortController().signal,
    })
    expect(ok).toBe(true)
    printed.push(Buffer.from(stdout).toString())
  }
  expect(printed[0]).toMatch(/^\d+\.\d+\n$/)
  expect(readFileSync(join(dir, 'members.txt'), 'utf8')).toBe('a is at 192.0.2.7\nb is at 192.0.2.7\n')
  expect(readFileSync(join(dir, 'deploy.txt'), 'utf8')).toBe('alpha deploys v2\n')
})

it('documents every variable that scripts get', () => {
  const self = { id: 'me' as NodeId, name: 'me', class: 'cloud', group: 'web', zone: 'z1', tags: {} }
  const all = (
    [
      { type: 'query', query: query('q') },
      { type: 'members', event: 'join', members: [] },
      { type: 'event', event: userEvent(1, 'e') },
    ] as const
  ).flatMap(happening => Object.keys(variablesOf(happening, self, () => undefined)))
  for (const name of new Set(all)) expect(page).toContain(`\`${name}\``)
})
