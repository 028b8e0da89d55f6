import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../../test/support/daemons.ts'
import { eventually } from '../../test/support/wait.ts'
import { startLoad } from './load.ts'
import { mean, type Rolled, type Setting, writeVersion } from './setting.ts'

/** The steps of a host, as an operator of the same service would write them: the new version beside the old one, and then the shortest way across. */
const playbook = ({ budget, minHealthy }: Setting, image: string): unknown => [
  {
    hosts: 'all',
    gather_facts: false,
    serial: budget,
    any_errors_fatal: true,
    tasks: [
      { name: 'copy', copy: { src: `${image}/`, dest: '{{ dir }}/v2/' } },
      {
        name: 'replace',
        shell:
          'date +%s%N > {{ dir }}/down; kill $(cat {{ dir }}/pid); while kill -0 $(cat {{ dir }}/pid) 2>/dev/null; do sleep 0.05; done; ln -sfn {{ dir }}/v2 {{ dir }}/current; cd {{ dir }}/current; PORT={{ port }} setsid node server.js </dev/null >/dev/null 2>&1 & echo $! > {{ dir }}/pid',
      },
      {
        name: 'healthy',
        shell: 'until curl -fs http://127.0.0.1:{{ port }}/ >/dev/null; do sleep 0.2; done; date +%s%N > {{ dir }}/up',
      },
      { name: 'stays healthy', wait_for: { timeout: minHealthy / 1_000 } },
      { name: 'is healthy', uri: { url: 'http://127.0.0.1:{{ port }}/' } },
    ],
  },
]

/** The same program on as many hosts, which are directories of this one, rolled by `ansible-playbook` with `serial`. */
export async function rollByAnsible(dir: string, setting: Setting): Promise<Rolled> {
  const { count, budget } = setting
  const hosts: { name: string; dir: string; port: number }[] = []
  const images = ['v1', 'v2'].map(version => join(dir, version))
  for (const [at, image] of images.entries()) {
    mkdirSync(image, { recursive: true })
    writeVersion(image, `v${at + 1}`)
  }
  try {
    for (let at = 0; at < count; at++) {
      const home = join(dir, `h${at}`)
      mkdirSync(join(home, 'v1'), { recursive: true })
      writeVersion(join(home, 'v1'), 'v1')
      symlinkSync(join(home, 'v1'), join(home, 'current'))
      const port = await freePort()
      const child = spawn('node', ['server.js'], {
        cwd: join(home, 'v1'),
        env: { ...process.env, PORT: `${port}` },
        stdio: 'ignore',
        detached: true,
      })
      child.unref()
      writeFileSync(join(home, 'pid'), `${child.pid}`)
      hosts.push({ name: `h${at}`, dir: home, port })
      await eventually('the server to answer', () => fetch(`http://127.0.0.1:${port}/`).then(({ ok }) => ok))
    }
    writeFileSync(join(dir, 'playbook.yaml'), stringify(playbook(setting, images[1]!)))
    const lines = hosts.map(
      ({ name, dir: home, port }) =>
        `${name} ansible_connection=local ansible_python_interpreter=/usr/bin/python3 dir=${home} port=${port}`,
    )
    writeFileSync(join(dir, 'hosts'), `${lines.join('\n')}\n`)

    const load = startLoad(hosts.map(({ port }) => port))
    const began = performance.now()
    const child = spawn('ansible-playbook', ['-i', 'hosts', '-f', `${budget}`, 'playbook.yaml'], {
      cwd: dir,
      env: { ...process.env, HOME: dir, ANSIBLE_PIPELINING: '1', ANSIBLE_NOCOLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const said = outputOf(child)
    const [code] = (await once(child, 'exit')) as [number]
    const seconds = (performance.now() - began) / 1_000
    if (code !== 0) throw new Error(`ansible-playbook ended with ${code}: ${said()}`)
    const time = (home: string, what: 'down' | 'up'): number => Number(readFileSync(join(home, what), 'utf8')) / 1e9
    const down = hosts.map(({ dir: home }) => time(home, 'up') - time(home, 'down'))
    return { seconds, disrupt: mean(down), atOnce: budget, ...(await load.stop()) }
  } finally {
    for (const { dir: home } of hosts) {
      try {
        process.kill(Number(readFileSync(join(home, 'pid'), 'utf8')), 'SIGKILL')
      } catch {
        // It has ended.
      }
    }
  }
}

function outputOf(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout!, child.stderr!]) stream.on('data', part => (text = (text + part).slice(-4_000)))
  return () => text
}
