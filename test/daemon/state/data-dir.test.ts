import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type DataDir, openDataDir } from '../../../daemon/state/index.ts'
import { type Address, type Digest, generateKeyPair, nodeIdOf, sha256 } from '../../../protocol/index.ts'
import { contentOf } from './content.ts'

let base: string
let path: string
const children: ChildProcess[] = []
const opened: DataDir[] = []

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'fleetd-state-'))
  path = join(base, 'data')
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  for (const dir of opened.splice(0)) await dir.close()
  rmSync(base, { recursive: true, force: true })
})

const open = async (at = path): Promise<DataDir> => {
  const dir = await openDataDir(at)
  opened.push(dir)
  return dir
}
/** Opens it, and closes it again. */
const visit = async (work: (dir: DataDir) => Promise<void> = async () => undefined): Promise<void> => {
  const dir = await openDataDir(path)
  try {
    await work(dir)
  } finally {
    await dir.close()
  }
}
const run = (script: string, ...args: string[]): ChildProcess => {
  const child = spawn(process.execPath, ['--import', 'tsx', join(import.meta.dirname, script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}
const firstLine = async (child: ChildProcess): Promise<Record<string, unknown>> => {
  for await (const line of createInterface({ input: child.stdout! })) return JSON.parse(line)
  throw new Error('the child said nothing')
}
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))
const everyFile = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name))
      .map(file => [file, `${statSync(file).mtimeMs} ${sha256(readFileSync(file))}`]),
  )

describe('a data directory', () => {
  it('is made for its owner alone, with a key that stays', async () => {
    await visit()
    expect(statSync(path).mode & 0o777).toBe(0o700)
    expect(statSync(join(path, 'node.key')).mode & 0o777).toBe(0o600)
    expect(statSync(join(path, 'node.key')).size).toBe(32)
    expect(readFileSync(join(path, 'format'), 'utf8')).toBe('1\n')
    const keys = new Set<string>()
    for (let i = 0; i < 3; i++) await visit(async dir => void keys.add(dir.key.publicKey))
    expect(keys.size).toBe(1)
  })

  it('counts its starts, and one more for a start that was killed', async () => {
    await visit(async dir => expect(dir.epoch).toBe(1))
    const child = run('open-child.ts', path)
    expect(await firstLine(child)).toMatchObject({ epoch: 2 })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await visit(async dir => expect(dir.epoch).toBe(3))
  })

  it('keeps what it is given, through a restart', async () => {
    const node = nodeIdOf(generateKeyPair().publicKey)
    const fleet = { chain: [bytes('policy 1'), bytes('policy 2')], certificate: bytes('certificate') }
    const peers = [[node, ['/ip4/192.0.2.1/tcp/7946' as Address]]] as const
    const plan = bytes('plan')
    await visit(async dir => {
      expect(await dir.fleet.load()).toBeUndefined()
      expect(await dir.revocations.load()).toEqual([])
      expect(await dir.peers.load()).toEqual([])
      expect(await dir.documents.load()).toEqual([])
      expect(await dir.ledger.load('web')).toBeUndefined()
      expect(await dir.intent.load('app')).toBeUndefined()
      await dir.fleet.save(fleet)
      await dir.revocations.add([bytes('a')])
      await Promise.all([dir.revocations.add([bytes('a'), bytes('b')]), dir.revocations.add([bytes('c')])])
      await dir.peers.save(peers)
      await dir.documents.add(sha256(plan), plan)
      await dir.documents.add(sha256(plan), plan)
      await dir.ledger.save('web', bytes('ledger of web'))
      await dir.ledger.save('Web.2', bytes('another'))
      await dir.intent.save('app', bytes('intent'))
      await dir.intent.save('base', bytes('gone soon'))
      await dir.intent.save('base', null)
      await dir.db.put('manifest/1', bytes('m'))
    })
    await visit(async dir => {
      expect(await dir.fleet.load()).toEqual(fleet)
      expect(await dir.revocations.load()).toEqual([bytes('a'), bytes('b'), bytes('c')])
      expect(await dir.peers.load()).toEqual(peers)
      expect(await dir.documents.load()).toEqual([plan])
      expect(await dir.ledger.load('web')).toEqual(bytes('ledger of web'))
      expect(await dir.ledger.load('Web.2')).toEqual(bytes('another'))
      expect(await dir.intent.load('app')).toEqual(bytes('intent'))
      expect(await dir.intent.load('base')).toBeUndefined()
      expect(await dir.db.list('manifest/')).toEqual([['1', Buffer.from('m')]])
    })
  })

  it('puts concurrent writes of one name in the order in which they were asked for', async () => {
    const dir = await open()
    const writes = Array.from({ length: 50 }, (_, n) => dir.ledger.save('web', contentOf(n)))
    await dir.ledger.save('other', bytes('meanwhile'))
    await Promise.all(writes)
    expect(await dir.ledger.load('web')).toEqual(Uint8Array.from(contentOf(49)))
  })

  it('finishes writes that are under way before it closes, and takes none after', async () => {
    const dir = await openDataDir(path)
    const writes = Array.from({ length: 10 }, (_, n) => dir.ledger.save('web', contentOf(n)))
    await dir.close()
    await Promise.all(writes)
    await expect(dir.ledger.save('web', bytes('late'))).rejects.toMatchObject({ code: 'unavailable' })
    await visit(async again => expect(await again.ledger.load('web')).toEqual(Uint8Array.from(contentOf(9))))
  })

  it('takes no name that leads elsewhere', async () => {
    const dir = await open()
    for (const name of ['../node.key', '/etc/passwd', 'a/b/c', '.hidden', '', 'a/', 'ledger/..', 'x.new'])
      expect(() => dir.writeDurably(name, bytes('x'))).toThrow(/not a name/)
  })
})

describe('a second daemon on the same directory', () => {
  it('is refused in the same process and in another, naming the directory and the pid', async () => {
    const dir = await open()
    const message = `${path} is in use by another fleetd (pid ${process.pid}); stop that one, or use another --data-dir`
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'conflict', message })
    expect(await firstLine(run('open-child.ts', path))).toEqual({ error: message })
    symlinkSync(path, join(base, 'link'))
    await expect(openDataDir(join(base, 'link'))).rejects.toMatchObject({ code: 'conflict' })
    expect(await firstLine(run('open-child.ts', path))).toEqual({ error: message })
    await expect(dir.ledger.save('web', bytes('still mine'))).resolves.toBeUndefined()
  })

  it('gets the directory at once when the first was killed with -9', async () => {
    const child = run('open-child.ts', path)
    const { pid } = await firstLine(child)
    await expect(openDataDir(path)).rejects.toThrow(`(pid ${pid})`)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await visit(async dir => expect(dir.epoch).toBe(2))
  })

  it('is not told the pid of a process that has nothing to do with it', async () => {
    const dir = await open()
    writeFileSync(join(path, 'fleetd.pid'), `${process.ppid} 1\n`)
    expect(await firstLine(run('open-child.ts', path))).toEqual({
      error: `${path} is in use by another fleetd; stop that one, or use another --data-dir`,
    })
    await dir.close()
  })
})

describe('kill -9 in the middle of writes', () => {
  it('leaves each value whole, and never one older than the last that was acknowledged', async () => {
    let last = 0
    for (let round = 0; round < 4; round++) {
      const child = run('write-child.ts', path, String(last + 1))
      let acknowledged = last
      const lines = createInterface({ input: child.stdout! })
      lines.on('line', line => {
        acknowledged = Number(line)
        // Each round at another place in the stream of writes.
        if (acknowledged >= last + 5 + round * 7) child.kill('SIGKILL')
      })
      await once(lines, 'close')
      await visit(async dir => {
        const found = await dir.ledger.load('web')
        const n = Buffer.from(found!).readUInt32BE()
        expect(found).toEqual(Uint8Array.from(contentOf(n)))
        expect(n).toBeGreaterThanOrEqual(acknowledged)
        expect(n).toBeLessThanOrEqual(acknowledged + 1)
        last = n
      })
      expect(
        readdirSync(join(path, 'state'), { recursive: true }).filter(name => String(name).endsWith('.new')),
      ).toEqual([])
    }
  })

  it('shows a value that was overwritten in place, as it would be with no temporary file', async () => {
    await visit(dir => dir.ledger.save('web', contentOf(1)))
    const file = join(path, 'state/ledger/web')
    const torn = Buffer.concat([readFileSync(file).subarray(0, 30_000), Buffer.from(contentOf(2)).subarray(0, 20_000)])
    writeFileSync(file, torn)
    await visit(async dir => {
      await expect(dir.ledger.load('web')).rejects.toMatchObject({ code: 'corrupt' })
    })
  })

  it('makes a directory whose first start was cut short anew', async () => {
    await visit()
    // As it is when the crash came right before `format` was written.
    rmSync(path, { recursive: true })
    mkdirSync(join(path, 'state'), { recursive: true, mode: 0o700 })
    writeFileSync(join(path, 'node.key'), Buffer.alloc(32, 7))
    writeFileSync(join(path, 'state', 'epoch.new'), 'half')
    await visit(async dir => expect(dir.epoch).toBe(1))
    expect(existsSync(join(path, 'state', 'epoch.new'))).toBe(false)
  })
})

describe('a directory of a newer version', () => {
  it('is refused with both versions, and not touched', async () => {
    await visit(dir => dir.ledger.save('web', bytes('x')))
    writeFileSync(join(path, 'format'), '2\n')
    const before = everyFile()
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'refused',
      message: `${path} was written by a newer fleetd (format 2; this build understands up to 1); start that one, or use another --data-dir`,
    })
    expect(everyFile()).toEqual(before)
  })
})

describe('what is damaged or missing', () => {
  const flip = (name: string, at: number): void => {
    const file = join(path, name)
    const content = readFileSync(file)
    content[at < 0 ? content.length + at : at]! ^= 1
    writeFileSync(file, content)
  }
  const fill = (): Promise<void> =>
    visit(async dir => {
      await dir.fleet.save({ chain: [bytes('policy')], certificate: bytes('certificate') })
      await dir.revocations.add([bytes('revocation')])
      await dir.peers.save([])
      await dir.documents.add('d'.repeat(64) as Digest, bytes('document'))
      await dir.ledger.save('web', bytes('promise'))
      await dir.intent.save('app', bytes('intent'))
    })
  const stores: [string, (dir: DataDir) => Promise<unknown>, RegExp][] = [
    ['state/fleet', dir => dir.fleet.load(), /empty the whole data directory and let it join anew/],
    ['state/revocations', dir => dir.revocations.load(), /empty the whole data directory/],
    ['state/peers', dir => dir.peers.load(), /delete it: the node finds the others again/],
    [`state/documents/${'d'.repeat(64)}`, dir => dir.documents.load(), /delete it: other members/],
    ['state/ledger/web', dir => dir.ledger.load('web'), /empty the whole data directory/],
    ['state/intent/app', dir => dir.intent.load('app'), /see what layer app runs, then delete it/],
  ]

  it.each(stores)('%s: one flipped bit or a lost end is named, with what can be done', async (name, load, way) => {
    await fill()
    const good = readFileSync(join(path, name))
    for (let at = 0; at < good.length; at++) {
      flip(name, at)
      await visit(async dir => {
        await expect(load(dir)).rejects.toMatchObject({ code: 'corrupt', detail: { file: join(path, name) } })
        await expect(load(dir)).rejects.toThrow(way)
      })
      writeFileSync(join(path, name), good)
      at += 9 // every tenth byte: of the mark, of the checksum, and of the content
    }
    for (const length of [0, 10, 72, good.length - 1]) {
      writeFileSync(join(path, name), good.subarray(0, length))
      await visit(async dir => void (await expect(load(dir)).rejects.toMatchObject({ code: 'corrupt' })))
    }
    writeFileSync(join(path, name), good)
    await visit(async dir => void (await expect(load(dir)).resolves.toBeDefined()))
  })

  it('does not take one group’s ledger for that of another', async () => {
    await fill()
    copyFileSync(join(path, 'state/ledger/web'), join(path, 'state/ledger/db'))
    await visit(async dir => {
      await expect(dir.ledger.load('db')).rejects.toMatchObject({ code: 'corrupt' })
      await expect(dir.ledger.load('web')).resolves.toEqual(bytes('promise'))
    })
  })

  it.each([
    ['node.key', 'is missing'],
    ['state/epoch', 'is missing'],
    ['format', 'is missing from a data directory that has been in use'],
  ])('does not start afresh without %s', async (name, message) => {
    await fill()
    renameSync(join(path, name), join(base, 'aside'))
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'corrupt' })
    await expect(openDataDir(path)).rejects.toThrow(`${join(path, name)} ${message}`)
    renameSync(join(base, 'aside'), join(path, name))
    await visit(async dir => expect(dir.epoch).toBe(2))
  })

  it('does not start afresh when format and start counter are gone but a promise is there', async () => {
    await fill()
    const key = readFileSync(join(path, 'node.key'))
    rmSync(join(path, 'format'))
    rmSync(join(path, 'state/epoch'))
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'corrupt' })
    expect(readFileSync(join(path, 'node.key'))).toEqual(key)
  })

  it('is not another node because of one flipped bit in its key', async () => {
    await fill()
    flip('node.key', 5)
    await expect(openDataDir(path)).rejects.toThrow(/node\.key is not the key that the rest .* belongs to/)
    truncateSync(join(path, 'node.key'), 31)
    await expect(openDataDir(path)).rejects.toThrow(/node\.key is damaged \(31 bytes instead of 32\)/)
  })

  it.each(['', 'x', '0\n', '1.5', '-1\n', '1 2', '99999999999'])('does not guess at a format of %j', async format => {
    await fill()
    writeFileSync(join(path, 'format'), format)
    await expect(openDataDir(path)).rejects.toMatchObject({ code: 'corrupt' })
  })

  it('lets the directory go again after each refusal', async () => {
    await fill()
    flip('state/epoch', -1)
    await expect(openDataDir(path)).rejects.toThrow(/state\/epoch is damaged/)
    flip('state/epoch', -1)
    await visit()
  })

  it('says so when the directory cannot be one', async () => {
    writeFileSync(path, 'a file')
    await expect(openDataDir(path)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^cannot use .*data as data directory: .*; choose another with --data-dir$/),
    })
  })

  it('warns when others can look in', async () => {
    const warnings: unknown[] = []
    const log = { warn: (...args: unknown[]) => warnings.push(args[1]) } as never
    await (await openDataDir(path, log)).close()
    expect(warnings).toEqual([])
    chmodSync(path, 0o755)
    await (await openDataDir(path, log)).close()
    expect(warnings).toEqual([`other users can look into ${path}; run: chmod 700 ${path}`])
  })
})

/** A small file system of its own at `at`. False where this user may not make one. */
function mountTmpfs(at: string): boolean {
  if (process.getuid?.() !== 0) return false
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', at], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

describe('a full disk', () => {
  it('is said so, keeps the old content, and is over once there is space', async context => {
    const small = join(base, 'small')
    mkdirSync(small)
    if (!mountTmpfs(small)) return context.skip('this user cannot mount a small file system')
    try {
      const dir = await openDataDir(join(small, 'data'))
      await dir.ledger.save('web', bytes('old'))
      await dir.db.put('manifest/old', bytes('old'))
      const filler = join(small, 'filler')
      writeFileSync(filler, Buffer.alloc(512 * 1024).subarray(0, freeBytes(small)))
      await expect(dir.ledger.save('web', contentOf(1))).rejects.toMatchObject({
        code: 'no-space',
        message: expect.stringContaining(join(small, 'data/state/ledger/web')),
      })
      expect(await dir.ledger.load('web')).toEqual(bytes('old'))
      expect(readdirSync(join(small, 'data/state/ledger'))).toEqual(['web'])
      await expect(dir.db.put('manifest/new', contentOf(2))).rejects.toMatchObject({ code: 'no-space' })
      rmSync(filler)
      await dir.ledger.save('web', contentOf(3))
      expect(await dir.ledger.load('web')).toEqual(Uint8Array.from(contentOf(3)))
      // LevelDB would take writes again, and lose them.
      await expect(dir.db.put('manifest/new', bytes('x'))).rejects.toThrow(/takes no writes since one failed/)
      await dir.close()
      const again = await openDataDir(join(small, 'data'))
      expect(await again.db.list('manifest/')).toEqual([['old', Buffer.from('old')]])
      await again.db.put('manifest/new', bytes('x'))
      await again.close()
    } finally {
      // Lazily: after a failed assertion the directory may still be open.
      execFileSync('umount', ['--lazy', small])
    }
  })
})

function freeBytes(at: string): number {
  const output = execFileSync('df', ['--output=avail', '-B1', at], { encoding: 'utf8' })
  return Number(output.trim().split('\n')[1])
}
