import { execFile, spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'

// A namespace with a loopback interface alone, so that no packet of the test reaches the LAN.
const ON_LOOPBACK = 'ip link set lo up && ip link set lo multicast on && ip route add 224.0.0.0/4 dev lo'
const possible = spawnSync('unshare', ['-rn', 'sh', '-c', ON_LOOPBACK]).status === 0
if (!possible) console.log('skipped: mDNS needs network namespaces (unshare -rn), which this host does not allow')

test.skipIf(!possible)(
  'nodes of a fleet find each other by mDNS, and those of another or of none find nobody',
  async () => {
    const script = new URL('./mdns-child.ts', import.meta.url).pathname
    const command = `${ON_LOOPBACK} && exec "${process.execPath}" --import tsx "${script}"`
    const output = await new Promise<string>((resolve, reject) => {
      execFile('unshare', ['-rn', 'sh', '-c', command], { timeout: 25_000 }, (error, stdout, stderr) =>
        error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stderr}`)),
      )
    })
    const { names, found, early } = JSON.parse(output) as { names: string[]; found: string[][]; early: string[] }
    const [a, b, , late] = names as [string, string, string, string]
    expect(early).toEqual([])
    expect(found[0]?.filter(name => name !== late)).toEqual([b])
    expect(found[1]?.filter(name => name !== late)).toEqual([a])
    expect(found[2]).toEqual([])
    expect(new Set(found[3])).toEqual(new Set([a, b]))
  },
)
