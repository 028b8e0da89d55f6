import { expect, test } from 'vitest'
import { follow, stepsOf } from './follow.ts'

const DOCUMENT = `
\`\`\`yaml
# fleetd.yaml
group: web
\`\`\`
\`\`\`yaml
only: shown
\`\`\`
\`\`\`sh
# on beta
echo one \\
  two
# a remark
$ not-a-prompt
\`\`\`
\`\`\`text
rm -rf /
\`\`\`
`

test('what is typed, where, and which files there are is read from the fences of a document, and nothing else is', () => {
  expect(stepsOf(DOCUMENT.replace('$ not-a-prompt\n', ''))).toEqual([
    { file: 'fleetd.yaml', content: 'group: web\n' },
    { line: 'echo one \\\n  two', on: ['beta'], prints: [], code: 0 },
  ])
  const shown =
    '```sh\n$ fleetctl members\nNAME  RTT\nbeta  0.6 ms\n$ rm -rf /   # not followed: it is too much\n$ fleetctl rtt a b   # exit 4\n```\n'
  expect(stepsOf(shown)).toEqual([
    { line: 'fleetctl members', on: undefined, prints: ['NAME  RTT', 'beta  0.6 ms'], code: 0 },
    { line: 'fleetctl rtt a b   # exit 4', on: undefined, prints: [], code: 4 },
  ])
})

test('a line that fails, or prints something else, is an error that shows it; a token is what an invite printed last', async () => {
  const typed: string[] = []
  const alpha = {
    name: 'alpha',
    home: '/nowhere',
    async type(line: string) {
      typed.push(line)
      if (line === 'fail') return { code: 1, output: 'no\n' }
      return { code: 0, output: line === 'invite' ? 'fleet1.abcdefghijklmnopqrstuvwx\n' : `${line} took 12 ms\n` }
    },
    daemon: async (line: string) => void typed.push(`daemon: ${line}`),
    cable: (state: string) => void typed.push(`cable ${state}`),
    powerOff: async () => void typed.push('off'),
  }
  const computers = new Map([['alpha', alpha]])
  const block = (...lines: string[]): string => `\`\`\`sh\n${lines.join('\n')}\n\`\`\`\n`
  await follow(
    block('invite', 'fleetd --join TOKEN', 'fleetctl join fleet1.hKRp...') + block('$ say', 'say  took 7 ms'),
    computers,
  )
  expect(typed).toEqual([
    'invite',
    'daemon: fleetd --join fleet1.abcdefghijklmnopqrstuvwx',
    'fleetctl join fleet1.abcdefghijklmnopqrstuvwx',
    'say',
  ])
  await follow(block('$ say more', 'say ... took 7 ms', 'say more ...', '... ms'), computers, { patience: 0 })
  await expect(follow(block('$ say more', 'say ... ms x'), computers, { patience: 0 })).rejects.toThrow(/and not/)
  typed.length = 0
  await follow('<!-- alpha: cable down -->\n<!-- alpha: power off -->\n', computers)
  expect(typed).toEqual(['cable down', 'off'])
  const other = follow(block('$ say', 'say nothing'), computers, { patience: 0 })
  await expect(other).rejects.toThrow(/say took 12 ms\n\nand not:\nsay nothing/)
  await expect(follow(block('fail'), computers)).rejects.toThrow(/on alpha: fail\nexited with 1 and printed:\nno/)
  await expect(follow(block('# on gamma', 'say'), computers)).rejects.toThrow(/the host gamma/)
})
