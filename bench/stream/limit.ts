// One end of a plain transfer between two processes, run as a child of bench/stream.ts: node limit.js ROLE KIND PORT BYTES.
// gcm: raw TCP with AES-256-GCM over records of 64 KiB. https: node:https, a GET of a body of that length.
import { execFileSync } from 'node:child_process'
import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer as createHttpsServer, get } from 'node:https'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [role, kind, port, bytes] = process.argv.slice(2) as ['send' | 'receive', 'gcm' | 'https', string, string]
const SIZE = Number(bytes)
const RECORD = 64 * 1024
const TAG = 16
const KEY = Buffer.alloc(32, 7)

/** Every record has a nonce of its own, as it must. */
const nonceOf = (record: number): Buffer => {
  const nonce = Buffer.alloc(12)
  nonce.writeUInt32BE(record, 8)
  return nonce
}

async function sendAll(write: (piece: Buffer) => boolean, drained: () => Promise<unknown>): Promise<void> {
  const plain = randomFillSync(Buffer.allocUnsafe(RECORD))
  for (let record = 0; record * RECORD < SIZE; record++) {
    let piece = plain
    if (kind === 'gcm') {
      const cipher = createCipheriv('aes-256-gcm', KEY, nonceOf(record))
      piece = Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    }
    if (!write(piece)) await drained()
  }
}

/** Reads whole records and opens each. */
async function receiveRecords(socket: Socket): Promise<void> {
  let parts: Buffer[] = []
  let have = 0
  let record = 0
  for await (let piece of socket as AsyncIterable<Buffer>) {
    while (piece.byteLength > 0) {
      const part = piece.subarray(0, RECORD + TAG - have)
      piece = piece.subarray(part.byteLength)
      parts.push(part)
      have += part.byteLength
      if (have < RECORD + TAG) continue
      const whole = Buffer.concat(parts, have)
      parts = []
      have = 0
      const decipher = createDecipheriv('aes-256-gcm', KEY, nonceOf(record++))
      decipher.setAuthTag(whole.subarray(RECORD))
      decipher.update(whole.subarray(0, RECORD))
      decipher.final()
    }
  }
  if (record * RECORD < SIZE) throw new Error(`received ${record} records`)
}

async function receiveBody(): Promise<void> {
  const [response] = await once(get({ port: Number(port), rejectUnauthorized: false }), 'response')
  let received = 0
  for await (const piece of response) received += piece.byteLength
  if (received < SIZE) throw new Error(`received ${received} bytes`)
}

function selfSigned(): { key: Buffer; cert: Buffer } {
  const dir = mkdtempSync(join(tmpdir(), 'stream-'))
  try {
    const [key, cert] = [join(dir, 'key'), join(dir, 'cert')]
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=bench'].concat([
        '-days',
        '1',
        '-keyout',
        key,
        '-out',
        cert,
      ]),
      { stdio: 'ignore' },
    )
    return { key: readFileSync(key), cert: readFileSync(cert) }
  } finally {
    rmSync(dir, { recursive: true })
  }
}

const tell = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)
if (role === 'send') {
  const serveOver = async (out: NodeJS.WritableStream): Promise<void> => {
    const cpu = process.cpuUsage()
    await sendAll(
      piece => out.write(piece),
      () => once(out, 'drain'),
    )
    out.end()
    await once(out, 'close')
    tell(process.cpuUsage(cpu))
    process.exit()
  }
  const server =
    kind === 'https'
      ? createHttpsServer(selfSigned(), (_request, response) => void serveOver(response))
      : createServer(socket => void serveOver(socket))
  server.listen(0, '127.0.0.1', () => tell(server.address() as object))
} else {
  const cpu = process.cpuUsage()
  const start = performance.now()
  if (kind === 'https') await receiveBody()
  else await receiveRecords(connect(Number(port), '127.0.0.1'))
  tell({ ...process.cpuUsage(cpu), seconds: (performance.now() - start) / 1000 })
  process.exit()
}
