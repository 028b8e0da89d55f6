import { execFile, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createWorld } from './netns.ts'
import { eventually } from './wait.ts'

/*
 * Hosts that a person could sit at: each a network namespace on one LAN, with a host name, processes, a home and a /var/lib of its own, and with
 * fleetd and fleetctl on the PATH. What a document says one should type can be typed there as it stands.
 */

const ROOT = resolve(import.meta.dirname, '../..')

export interface Computer {
  readonly name: string
  /** Where its user is: the home. */
  readonly home: string
  /** Runs a line of shell and gives all that it printed, and its exit code. */
  type(line: string): Promise<{ readonly code: number; readonly output: string }>
  /** Starts a daemon there, which goes on; resolves once it is ready. */
  daemon(line: string): Promise<void>
  /** Its end of the cable: down is as if it were pulled. */
  cable(state: 'up' | 'down'): void
  /** Kills its daemons, as when its power is cut; what is on its disk stays. */
  powerOff(): Promise<void>
}

export interface Office {
  readonly computers: ReadonlyMap<string, Computer>
  close(): void
}

/** Computers with these names, at `network`.10 and on. With them comes a stick, /media/stick, which is at all of them. */
export async function office(names: readonly string[], network = '192.0.2'): Promise<Office> {
  const dir = mkdtempSync(join(tmpdir(), 'fleetd-office-'))
  const stick = join(dir, 'stick')
  const bin = join(dir, 'bin')
  for (const path of [stick, bin]) mkdirSync(path)
  for (const program of ['fleetd', 'fleetctl']) symlinkSync(join(ROOT, `dist/${program}.js`), join(bin, program))
  const world = createWorld()
  const lan = world.lan()
  const computers = new Map<string, Computer>()
  const inits: { kill(signal: 'SIGKILL'): boolean }[] = []

  for (const [index, name] of names.entries()) {
    const host = world.host(name)
    host.plug(lan, 'eth0', [`${network}.${10 + index}/24`])
    // Multicast and the like leave by the LAN.
    host.run('ip', 'route', 'add', 'default', 'dev', 'eth0')
    const [home, state] = [join(dir, name, 'home'), join(dir, name, 'var-lib')]
    for (const path of [home, state]) mkdirSync(path, { recursive: true })
    chmodSync(home, 0o700)
    const mounts = `hostname ${name}; mount --bind ${state} /var/lib; mount -t tmpfs none /media; mkdir /media/stick; mount --bind ${stick} /media/stick`
    const within = ['unshare', '--mount', '--pid', '--uts', '--fork', '--kill-child', '--mount-proc']
    const [program = '', ...args] = [...host.within, ...within, 'sh', '-ec', `${mounts}; echo up; exec sleep infinity`]
    const init = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    inits.push(init)
    await new Promise<void>((done, fail) => {
      init.stdout.once('data', () => done())
      init.once('exit', code => fail(new Error(`${name} did not come up: exit code ${code}`)))
    })
    const first = readFileSync(`/proc/${init.pid}/task/${init.pid}/children`, 'utf8').trim().split(' ')[0]!
    const shell = ['--target', first, '--mount', '--pid', '--uts', '--net', `--wdns=${home}`, 'env', '-i']
    const path = `PATH=${bin}:/usr/sbin:/usr/bin:/sbin:/bin`
    const env = [path, `HOME=${home}`, 'LC_ALL=C.UTF-8', 'bash', '-o', 'pipefail', '-ec']
    const type: Computer['type'] = line =>
      new Promise(done => {
        const settings = { timeout: 290_000, maxBuffer: 64 * 1024 * 1024 }
        execFile('nsenter', [...shell, ...env, line], settings, (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1
          done({ code, output: stdout + stderr })
        })
      })
    computers.set(name, {
      name,
      home,
      type,
      async daemon(line) {
        const daemon = spawn('nsenter', [...shell, ...env, `exec ${line}`], { stdio: ['ignore', 'pipe', 'pipe'] })
        let said = ''
        for (const stream of [daemon.stdout, daemon.stderr])
          stream.on('data', chunk => {
            said += String(chunk)
          })
        let ended: number | null | undefined
        daemon.once('exit', code => {
          ended = code
        })
        await eventually(
          `"${line}" to be ready`,
          () => {
            if (ended !== undefined && !said.includes('fleetd ready')) throw new Error(`it ended with ${ended}`)
            return said.includes('fleetd ready')
          },
          { seen: () => said.slice(-2000) },
        )
      },
      cable: state => host.cable('eth0', state),
      async powerOff() {
        // Everything but the first process of the namespace, which takes no signal from within.
        await type('kill -KILL -1 || true')
      },
    })
  }
  return {
    computers,
    close() {
      for (const init of inits) init.kill('SIGKILL')
      world.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
