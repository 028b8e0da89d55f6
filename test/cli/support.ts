import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import pino from 'pino'
import { createApi } from '../../daemon/api/index.ts'
import { type Fake, fakeService } from '../daemon/api/fake-service.ts'

const ROOT = resolve(import.meta.dirname, '../..')

export interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** The built fleetctl beside a real API whose service is a fake: every command line runs in a process of its own. */
export interface Bench {
  readonly dir: string
  readonly fake: Fake
  readonly address: string
  readonly keyFile: string
  run(
    args: readonly string[],
    options?: { env?: NodeJS.ProcessEnv; onStdout?: (text: string, kill: () => void) => void },
  ): Promise<Run>
  /** With --format json; gives what was printed. Throws unless it exited with 0. */
  json<T>(...args: string[]): Promise<T>
  /** A fresh fake that belongs to a fleet. */
  claimed(): Promise<Fake>
  close(): Promise<void>
}

/** Bundles fleetctl as build.mjs does, into `dir`; gives the file. */
export async function bundle(dir: string): Promise<{ file: string; inputs: readonly string[] }> {
  const { metafile } = await build({
    entryPoints: { fleetctl: join(ROOT, 'cli/main.ts') },
    outdir: dir,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    metafile: true,
    absWorkingDir: ROOT,
    define: { __VERSION__: '"1.2.3"' },
    alias: { 'node:child_process': join(ROOT, 'cli/no-child-process.ts') },
    banner: {
      js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
    },
  })
  // What is loaded before a command has run: the entry and what it imports outright.
  const outputs = Object.entries(metafile.outputs)
  const loaded = new Set<string>()
  const load = (name: string): void => {
    if (loaded.has(name)) return
    loaded.add(name)
    for (const { path, kind } of metafile.outputs[name]!.imports)
      if (kind === 'import-statement' && path in metafile.outputs) load(path)
  }
  load(outputs.find(([name]) => name.endsWith('/fleetctl.mjs'))![0])
  return {
    file: join(dir, 'fleetctl.mjs'),
    inputs: [...loaded].flatMap(name => Object.keys(metafile.outputs[name]!.inputs)),
  }
}

export async function bench(): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'fleetctl-test-'))
  const { file } = await bundle(join(dir, 'bin'))
  const keyFile = join(dir, 'operator.key')
  // The API keeps one service for its life; the test changes which fake is behind it.
  let fake = fakeService()
  const service = new Proxy(fake.service, { get: (_, name) => fake.service[name as keyof typeof fake.service] })
  const api = createApi({ service, log: pino({ level: 'silent' }) })
  const address = await api.listen(`unix:${join(dir, 'api.sock')}`)

  const bench: Bench = {
    dir,
    address,
    keyFile,
    get fake() {
      return fake
    },
    run: (args, { env = {}, onStdout } = {}) =>
      new Promise((done, fail) => {
        const child = spawn(process.execPath, [file, ...args], {
          stdio: ['ignore', 'pipe', 'pipe'],
          env: { PATH: process.env.PATH, HOME: dir, FLEETCTL_API: address, FLEETCTL_KEY: keyFile, ...env },
        })
        const out = { stdout: '', stderr: '' }
        child.stdout.on('data', (part: Buffer) => {
          out.stdout += part
          onStdout?.(out.stdout, () => child.kill('SIGINT'))
        })
        child.stderr.on('data', (part: Buffer) => {
          out.stderr += part
        })
        child.once('error', fail)
        child.once('close', code => done({ code, ...out }))
      }),
    async json<T>(...args: string[]) {
      const result = await bench.run(['--format', 'json', ...args])
      if (result.code !== 0) throw new Error(`fleetctl ${args.join(' ')}: ${result.code}: ${result.stderr}`)
      return JSON.parse(result.stdout) as T
    },
    async claimed() {
      fake = fakeService()
      await bench.json('init')
      return fake
    },
    async close() {
      await api.close()
      await rm(dir, { recursive: true, force: true })
    },
  }
  return bench
}
