import { createCipheriv } from 'node:crypto'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const MIB = 2 ** 20

/** An image and the next version of it, as files or as directories. */
export interface Pair {
  readonly name: string
  readonly kind: 'file' | 'tree'
  readonly before: string
  readonly after: string
  /** They have nothing in common. */
  readonly unrelated?: true
}

/** Bytes that are the same in every run and that nobody can compress: AES-CTR of zeros. */
function noise(size: number, key: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16, key), Buffer.alloc(16)).update(Buffer.alloc(size))
}

const file = (dir: string, name: string, before: Buffer, after: Buffer): Pair => {
  const paths = { before: join(dir, `${name}.1`), after: join(dir, `${name}.2`) }
  writeFileSync(paths.before, before)
  writeFileSync(paths.after, after)
  return { name, kind: 'file', ...paths }
}

const inserted = (into: Buffer, at: number, what: Buffer): Buffer =>
  Buffer.concat([into.subarray(0, at), what, into.subarray(at)])

function overwritten(content: Buffer, changes: readonly (readonly [at: number, what: Buffer])[]): Buffer {
  const changed = Buffer.from(content)
  for (const [at, what] of changes) changed.set(what, at)
  return changed
}

/** Packages of ours that make an application: what is in them is what package-lock.json says. */
const PACKAGES = [
  'typescript',
  'fastify',
  'zod',
  'pino',
  'libp2p',
  '@libp2p',
  '@msgpack',
  'esbuild',
  '@esbuild',
  'yaml',
]
/** What the next version of the application changes, from one line to a few bytes of a program. */
const CHANGES: readonly (readonly [path: string, change: (content: Buffer) => Buffer])[] = [
  [
    'typescript/lib/typescript.js',
    old => inserted(old, old.indexOf('\n', old.length / 2), Buffer.from('\nlet next = 1;')),
  ],
  ['zod/package.json', old => Buffer.from(String(old).replace(/"version": "[^"]+"/, '"version": "99.0.0"'))],
  ['fastify/lib/reply.js', old => Buffer.from(String(old).replaceAll('return this', 'return (this)'))],
  ['@esbuild/linux-x64/bin/esbuild', old => overwritten(old, [[Math.floor(old.length / 3), noise(64, 9)]])],
]

function application(dir: string, modules: string): Pair {
  const paths = { before: join(dir, 'application.1'), after: join(dir, 'application.2') }
  for (const tree of Object.values(paths))
    for (const name of PACKAGES) {
      mkdirSync(dirname(join(tree, name)), { recursive: true })
      cpSync(join(modules, name), join(tree, name), { recursive: true, preserveTimestamps: true })
    }
  for (const [path, change] of CHANGES) {
    const before = readFileSync(join(paths.before, path))
    const after = change(before)
    if (after.equals(before)) throw new Error(`${path} has nothing that could be changed`)
    writeFileSync(join(paths.after, path), after)
  }
  return { name: 'an application of which four files changed', kind: 'tree', ...paths }
}

/** Makes one pair after the other; the files of the one before may be removed. `modules` is a folder of installed packages. */
export function* pairs(dir: string, modules: string): Generator<Pair> {
  const disk = noise(128 * MIB, 1)
  yield file(dir, '100 bytes inserted in 128 MiB', disk, inserted(disk, 10 * MIB + 12_345, noise(100, 2)))
  yield file(dir, '1 MiB of 128 overwritten', disk, overwritten(disk, [[50 * MIB + 999, noise(MIB, 3)]]))
  const edits = Array.from(
    { length: 50 },
    (_, at) => [(at * 2_655_433 + 77_777) % (127 * MIB), noise(4096, 4 + at)] as const,
  )
  yield file(dir, '50 edits of 4 KiB in 128 MiB', disk, overwritten(disk, edits))
  yield application(dir, modules)
  yield { ...file(dir, 'an unrelated image of 32 MiB', noise(32 * MIB, 100), noise(32 * MIB, 101)), unrelated: true }
}
