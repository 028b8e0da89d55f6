import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { createProgram, TREE } from '../../cli/program.ts'
import { objections } from '../../packaging/licences.ts'
import { fleetctl, fleetd } from '../../packaging/man.ts'

const DEBIAN = resolve(import.meta.dirname, '../../packaging/debian')
/** For `test.skipIf`: whether a program is missing, which is said in one line. */
function lacks(program: string): boolean {
  const missing = spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0
  if (missing) console.log(`skipped: the part of packaging.test.ts that uses ${program}: it is not installed`)
  return missing
}

test('a licence that was not agreed to is named; one of several that may be chosen is enough', () => {
  const part = (licence: string | undefined, dev = false) => ({
    path: 'node_modules/it',
    version: '1.0.0',
    licence,
    dev,
  })
  expect(objections([part('MIT'), part('(GPL-3.0 OR MIT)'), part('MPL-2.0', true)])).toEqual([])
  const bad = [part('GPL-3.0'), part('MIT AND GPL-3.0'), part('MPL-2.0'), part('SEE LICENSE IN X'), part(undefined)]
  expect(objections(bad)).toHaveLength(bad.length)
  expect(objections([part('AGPL-3.0-only')])[0]).toMatch(/^it 1\.0\.0 has the licence AGPL-3\.0-only/)
})

test('the man page of fleetctl has every command and flag that --help has', () => {
  const page = fleetctl().replaceAll('\\-', '-').replaceAll('\\(aq', "'")
  const program = createProgram(
    '',
    TREE.groups.map(({ name }) => name),
    async () => undefined,
  )
  const leaves = program.commands.flatMap(command => (command.commands.length > 0 ? command.commands : [command]))
  expect(leaves.length).toBeGreaterThan(40)
  for (const command of leaves) {
    expect(page, command.name()).toContain(command.description())
    for (const { flags } of command.options) expect(page, command.name()).toContain(`.B ${flags}\n`)
  }
})

test.skipIf(lacks('groff'))('groff has no complaint about the man pages', () => {
  for (const page of [fleetctl(), fleetd()]) {
    const { status, stderr } = spawnSync('groff', ['-ww', '-man', '-Tutf8', '-z'], { input: page, encoding: 'utf8' })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  }
})

test.skipIf(lacks('systemd-analyze'))(
  'systemd-analyze gives the unit less than 3 of 10 points of exposure, and would notice one that is open',
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'fleetd-unit-'))
    const exposure = (unit: string): number => {
      writeFileSync(join(dir, 'fleetd.service'), unit)
      const { stdout } = spawnSync('systemd-analyze', [
        'security',
        '--offline=true',
        '--no-pager',
        join(dir, 'fleetd.service'),
      ])
      return Number(/Overall exposure level for fleetd\.service: ([\d.]+)/.exec(String(stdout))?.[1])
    }
    try {
      const unit = readFileSync(join(DEBIAN, 'fleetd.service'), 'utf8')
      expect(exposure(unit)).toBeLessThan(3)
      expect(exposure(unit.replaceAll(/^(Protect|Restrict|SystemCall|Capability|NoNew).*$/gm, ''))).toBeGreaterThan(3)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  },
)
