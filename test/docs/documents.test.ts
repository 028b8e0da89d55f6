import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadConfig } from '../../daemon/config/index.ts'
import { commandsOf, fencesOf, headingsOf, linksOf, pathsOf, problemIn } from './read.ts'

// What the documents name is there: files, headings, commands, flags, scripts, settings. Whether it also does what they say is `npm run test:docs`.

const ROOT = resolve(import.meta.dirname, '../..')
const within = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true }).map(path => join(folder, String(path)))
const documents = ['README.md', ...within('docs').filter(path => path.endsWith('.md'))].map(file => ({
  file,
  // What is named there is not there.
  text: readFileSync(join(ROOT, file), 'utf8').replace(/^## What it does not do yet$[\s\S]*/m, ''),
}))
const all = <T>(find: (text: string) => readonly T[]): (readonly [string, T])[] =>
  documents.flatMap(({ file, text }) => find(text).map(found => [file, found] as const))

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'fleetd-documents-'))
})
afterAll(() => rmSync(dir, { recursive: true }))

test('every link between documents leads to a file and a heading that are there', () => {
  const links = all(linksOf)
  expect(links.length).toBeGreaterThan(100)
  const broken = links.filter(([file, link]) => {
    const [path = '', heading] = link.split('#')
    const target = path === '' ? join(ROOT, file) : resolve(ROOT, dirname(file), path)
    if (!existsSync(target)) return true
    return heading !== undefined && !headingsOf(readFileSync(target, 'utf8')).includes(heading)
  })
  expect(broken).toEqual([])
})

test('every file of the code that is named is there', () => {
  const paths = all(pathsOf)
  expect(paths.length).toBeGreaterThan(30)
  const files = [...new Set(paths.map(([, path]) => path.split('/')[0]!))].flatMap(within)
  const isThere = (path: string): boolean => {
    const pattern = new RegExp(`^${path.replaceAll('.', '[.]').replaceAll('*', '[^/]*').replace(/\/$/, '')}([.]ts)?$`)
    return files.some(file => pattern.test(file))
  }
  expect(paths.filter(([, path]) => !isThere(path))).toEqual([])
})

test('every command has this name and these flags, and npm has every script', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: object }
  const commands = all(commandsOf)
  expect(commands.length).toBeGreaterThan(150)
  const wrong = commands.flatMap(([file, command]) => {
    const problem = problemIn(command, Object.keys(scripts))
    return problem === undefined ? [] : [`${file}: ${command}: ${problem}`]
  })
  expect(wrong).toEqual([])
})

test('a command that there is not is found out', () => {
  for (const wrong of [
    'fleetctl membrs',
    'fleetctl image',
    'fleetctl rollout start --layr app',
    'fleetd --webb off',
    'npm run tset',
  ])
    expect(problemIn(wrong, ['test']), wrong).toBeDefined()
  for (const right of ['fleetctl --timeout 3s rollout explain beta', 'fleetd --init --group=web', 'npm run test'])
    expect(problemIn(right, ['test']), right).toBeUndefined()
})

test('every configuration that is shown would be taken', async () => {
  const shown = all(text => fencesOf(text).filter(({ language }) => language === 'yaml'))
  const settings = shown.filter(([, { body }]) => /^(layers|services|group|eventHandler|class):/m.test(body))
  expect(settings.length).toBeGreaterThan(5)
  for (const [file, { body }] of settings) {
    const path = join(dir, 'fleetd.yaml')
    writeFileSync(path, completed(body))
    const checked = loadConfig(['--config', path, '--check-config'], {}, '0')
    await expect(checked, `${file}:\n${body}`).resolves.toBeDefined()
  }
})

/** Where only a part of a layer is shown, or of a file. */
const completed = (yaml: string): string => {
  const layer = 'app:\n    driver: process\n    command: ["true"]\n'
  if (!/^layers:/m.test(yaml)) return `layers:\n  ${layer}${yaml}`
  return /driver:/.test(yaml) ? yaml : yaml.replace(/^ {2}app:\n/m, `  ${layer}`)
}
