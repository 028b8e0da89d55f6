import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { wantedBy } from '../../cli/completion/wanted.ts'
import { createProgram } from '../../cli/program.ts'
import { member } from '../daemon/api/fake-service.ts'
import { openPty } from '../support/pty.ts'
import { type Bench, bench } from './support.ts'

describe('what belongs at the end of a line', () => {
  const wanted = (...line: string[]) => {
    const { words, ...rest } = wantedBy(
      createProgram('1', line, async () => undefined),
      line,
    )
    return { ...rest, words: words.map(({ word }) => word) }
  }

  test.each([
    [['memb'], ['members']],
    [['image', 'unp'], ['unpin']],
    [
      ['rollout', 'start', '--strategy', ''],
      ['rolling', 'canary', 'waves', 'at-once'],
    ],
    [['rollout', 'start', '--strategy=c'], ['canary']],
    [['members', '--sta'], ['--status']],
    [['members', '--form'], ['--format']],
    [['members', '--format', 'j'], ['json']],
    [['--api', 'unix:/x', 'memb'], ['members']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['members', '--status', 'fai'], ['failed']],
    [['version', ''], []],
  ])('%j may become %j', (line, words) => expect(wanted(...line).words).toEqual(words))

  test.each([
    [['node', 'write-off', 'g'], { live: 'node', typed: 'g' }],
    [['rtt', 'alpha', ''], { live: 'node' }],
    [['rtt', 'alpha', 'beta', ''], { words: [], files: false }],
    [['image', 'inspect', ''], { live: 'image' }],
    [['rollout', 'start', '--image=shop:'], { live: 'image', before: '--image=', typed: 'shop:' }],
    [['rollout', 'undo', '--group', 'web', '--to', ''], { live: 'generation', given: { group: 'web' } }],
    [['members', '--zone', ''], { live: 'zone' }],
    [['services', 'w'], { live: 'service' }],
    [['image', 'build', 'di'], { files: true }],
    [['image', 'export', 'shop:v1', '-o', ''], { files: true }],
    [['revoke', '--', '-g'], { live: 'node' }],
    [['event', 'deploy', ''], { words: [], files: false }],
  ])('%j asks for %j', (line, what) => expect(wanted(...line)).toMatchObject(what))
})

const SHELLS = ['bash', 'zsh', 'fish'] as const
const installed = (shell: string): boolean => spawnSync(shell, ['-c', ':']).status === 0

describe('real shells', () => {
  let ctl: Bench
  let env: NodeJS.ProcessEnv
  beforeAll(async () => {
    ctl = await bench()
    const fake = await ctl.claimed()
    fake.members = [member('gamma-1'), member('gamma-2'), member('$(reboot)')]
    await fake.service.buildImage(
      { path: '/srv/shop', name: 'shop', version: 'v1', kind: 'tree', labels: {}, provenance: {} } as never,
      () => undefined,
      AbortSignal.timeout(1_000),
    )
    const bin = join(ctl.dir, 'path')
    await mkdir(bin)
    const program = join(ctl.dir, 'bin', 'fleetctl.mjs')
    await writeFile(join(bin, 'fleetctl'), `#!/bin/sh\nexec "${process.execPath}" "${program}" "$@"\n`, { mode: 0o755 })
    env = { PATH: [bin, process.env.PATH].join(delimiter), HOME: ctl.dir, FLEETCTL_API: ctl.address }
  })
  afterAll(() => ctl.close())

  const START = {
    bash: { shell: 'bash --norc --noprofile -i', load: 'source <(fleetctl completion bash)' },
    zsh: { shell: 'zsh -f -i', load: 'source <(fleetctl completion zsh)' },
    fish: { shell: 'fish --no-config --private -i', load: 'fleetctl completion fish | source' },
  }
  for (const shell of SHELLS)
    if (!installed(shell)) console.log(`completion is not tested in ${shell}: it is not installed`)

  test.each(SHELLS.filter(installed))('%s completes commands, flags and names that the daemon knows', async shell => {
    const pty = openPty(START[shell].shell, { env, columns: 120 })
    try {
      await pty.until(/[$%#>]\s*$/)
      pty.type(`${START[shell].load}; echo load'ed'\n`)
      await pty.until(/loaded\s/)
      pty.type('fleetctl image insp\tsho\t--form\tjson\n')
      expect(await pty.until(/"endorsers"[^\n]*\n/)).toContain('"version":"v1"')
      // What another node calls itself is put on nobody's command line.
      pty.type('fleetctl why \t\t\t')
      expect(await pty.until(/gamma-2/)).not.toMatch(/reboot/)
    } finally {
      pty.close()
    }
  })
})
