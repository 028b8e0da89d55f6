import { mkdtempSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { chmod, rm, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import * as z from 'zod'
import { createDriver, type Driver, layerSchema } from '../../../daemon/drivers/index.ts'
import { unseal } from '../../../daemon/drivers/slot-tree.ts'
import { type Digest, generateKeyPair, nodeIdOf, seededRandom, sha256 } from '../../../protocol/index.ts'

export const quiet = pino({ level: process.env.TEST_LOG ?? 'silent' })
export const never = new AbortController().signal
export const node = nodeIdOf(generateKeyPair().publicKey)
export const image = (name: string): Digest => sha256(Buffer.from(name))

export interface Lab {
  readonly directory: string
  /** Removes everything, with whatever still runs in it. */
  close(): Promise<void>
}

export function lab(): Lab {
  const directory = mkdtempSync(join(tmpdir(), 'fleetd-drivers-'))
  return {
    directory,
    async close() {
      for (const pid of runningIn(directory)) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // It has just ended.
        }
      }
      await unseal(directory)
      await rm(directory, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** The processes that run in `directory` or below it, zombies not counted. */
export function runningIn(directory: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(pid => {
      try {
        return Number.isInteger(pid) && readlinkSync(`/proc/${pid}/cwd`).startsWith(directory)
      } catch {
        return false
      }
    })
}

/** What the program in the slot is: a server that answers with its version, or ends when asked for /crash. */
const SERVER = `
import { createServer } from 'node:http'
import { readFileSync } from 'node:fs'
const version = readFileSync('version', 'utf8')
createServer((request, response) => {
  if (request.url === '/crash') process.exit(3)
  if (request.url === '/env') return response.end(JSON.stringify(process.env))
  response.statusCode = version === 'broken' ? 500 : 200
  response.end(version + ' ' + process.pid)
}).listen(Number(process.env.PORT), '127.0.0.1', () => console.log('version ' + version + ' listens'))
`

/** Unpacks that server as the given version. */
export const server =
  (version: string) =>
  async (directory: string): Promise<void> => {
    await writeFile(join(directory, 'server.mjs'), SERVER)
    await writeFile(join(directory, 'version'), version)
    await chmod(join(directory, 'server.mjs'), 0o755)
  }

export const serverConfig = (port: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  driver: 'process',
  command: [process.execPath, 'server.mjs'],
  env: { PORT: String(port) },
  checks: [{ name: 'http', http: `http://127.0.0.1:${port}/`, interval: '20ms', timeout: '2s' }],
  ...more,
})

export function driverOf(directory: string, config: Record<string, unknown>): Driver {
  return createDriver(parse(config), { layer: 'app', directory, node, random: seededRandom(7), log: quiet })
}

export function parse(config: unknown): z.infer<typeof layerSchema> {
  const parsed = layerSchema.safeParse(config)
  if (!parsed.success) throw new Error(z.prettifyError(parsed.error))
  return parsed.data
}

/** The answer's text, or undefined where there is none. */
export function ask(port: number, path = '/'): Promise<string | undefined> {
  return new Promise(resolve => {
    const request = get({ host: '127.0.0.1', port, path, agent: false, timeout: 5_000 }, response => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
      })
      response.once('end', () => resolve(text))
      response.once('error', () => resolve(undefined))
    })
    request.once('error', () => resolve(undefined))
    request.once('timeout', () => request.destroy())
  })
}

export const textOf = (path: string): string => readFileSync(path, 'utf8')
