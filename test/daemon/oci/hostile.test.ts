import { randomBytes } from 'node:crypto'
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { eventually } from '../../support/wait.ts'
import {
  ask,
  digestOf,
  pushBlob,
  pushImage,
  type RegistryNode,
  type RegistryWorld,
  registryWorld,
  testImage,
} from './support.ts'

// Over real connections: clients that break off, say nothing, never end, lie, or do not read.

let world: RegistryWorld
let node: RegistryNode
let port: number
const open: (Socket | ClientRequest)[] = []
afterEach(async () => {
  for (const each of open.splice(0)) each.destroy()
  await world.close()
})

async function start(...options: Parameters<typeof registryWorld>): Promise<void> {
  world = await registryWorld(...options)
  node = world.nodes.at(-1)!
  port = Number((await node.registry.listen('127.0.0.1:0')).split(':')[1])
}
const begin = async (): Promise<string> => (await ask(node, 'POST', '/v2/a/blobs/uploads/')).headers.location!
const received = async (location: string): Promise<string | undefined> =>
  (await ask(node, 'GET', location)).headers.range

/** A connection on which one speaks HTTP by hand. */
function dial(): { socket: Socket; heard: () => string; isClosed: () => boolean } {
  const socket = connect(port, '127.0.0.1')
  open.push(socket)
  let heard = ''
  let closed = false
  socket.on('data', data => {
    heard += data
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    closed = true
  })
  return { socket, heard: () => heard, isClosed: () => closed }
}
const head = (method: string, path: string, ...headers: string[]): string =>
  [`${method} ${path} HTTP/1.1`, 'Host: 127.0.0.1', ...headers, '', ''].join('\r\n')

test('of an upload that breaks off, what came counts, and the rest can follow', async () => {
  await start(1)
  const blob = randomBytes(200_000)
  const location = await begin()
  const { socket } = dial()
  socket.write(head('PATCH', location, 'Content-Length: 200000'))
  socket.write(blob.subarray(0, 120_000))
  await eventually('most of it to be there', async () => (await received(location)) === '0-119999')
  socket.destroy()
  const rest = () =>
    ask(node, 'PATCH', location, { body: blob.subarray(120_000), headers: { 'content-range': '120000-199999' } })
  await eventually('the upload to be free again', async () => (await rest()).status === 202)
  expect((await ask(node, 'PUT', `${location}?digest=${digestOf(blob)}`)).status).toBe(201)
})

test('a body that stops coming is not waited for, and the upload can go on', async () => {
  await start(1, { limits: { stall: 100 } })
  const location = await begin()
  const { socket, isClosed } = dial()
  socket.write(head('PATCH', location, 'Content-Length: 1000'))
  socket.write('0123456789')
  await eventually('the connection to be cut', isClosed)
  expect(await received(location)).toBe('0-9')
})

test('a body without end is cut at the most that a blob may have, and its file is gone', async () => {
  await start(1, { limits: { blob: 5_000_000, sessions: 1 } })
  const location = await begin()
  const { socket, heard, isClosed } = dial()
  socket.write(head('PATCH', location, 'Transfer-Encoding: chunked'))
  const piece = Buffer.concat([Buffer.from('10000\r\n'), randomBytes(65_536), Buffer.from('\r\n')])
  let sent = 0
  await new Promise<void>(done => {
    socket.once('close', done)
    const more = (): void => {
      while (!socket.destroyed) {
        sent += piece.byteLength
        if (!socket.write(piece)) {
          socket.once('drain', more)
          return
        }
      }
    }
    more()
  })
  expect(isClosed()).toBe(true)
  // What was said of it may be lost with the connection: the client was still sending.
  expect(heard()).toMatch(/^$|^HTTP\/1\.1 413 /)
  expect(sent).toBeLessThan(64 * 2 ** 20)
  expect((await ask(node, 'GET', location)).status).toBe(404)
  // The only place is free again.
  expect((await ask(node, 'POST', '/v2/a/blobs/uploads/')).status).toBe(202)
})

test('what is no HTTP, and a head without end, is refused', async () => {
  await start(1)
  for (const text of ['\x16\x03\x01\x02\x00\x01\x00', `GET /v2/ HTTP/1.1\r\nX: ${'x'.repeat(1_000_000)}`]) {
    const { socket, heard, isClosed } = dial()
    socket.write(text)
    await eventually('the connection to be cut', isClosed)
    expect(heard()).toMatch(/^$|^HTTP\/1\.1 4\d\d /)
  }
  expect((await ask(node, 'GET', '/v2/')).status).toBe(200)
})

test('many uploads at once take no more places than there are', async () => {
  await start(1, { limits: { sessions: 8 } })
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(node, 'POST', '/v2/a/blobs/uploads/')))
  expect(answers.filter(({ status }) => status === 202)).toHaveLength(8)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(92)
})

/** The response to a GET, of which nothing is read that is not asked for. */
const responseTo = (path: string): Promise<IncomingMessage> =>
  new Promise((done, fail) => {
    const request = httpRequest({ host: '127.0.0.1', port, path }, done)
    open.push(request)
    request.once('error', fail)
    request.end()
  })

test('a layer is sent on while it is fetched, and a client that does not read has no more fetched for it', async () => {
  await start(2, { copies: false })
  const image = testImage([48_000_000])
  const layer = image.layers[0]!
  await pushImage(world.nodes[0]!, 'shop', 'v1', image)
  await eventually('the push to be known', () => node.pushes.resolve('shop', 'v1') !== undefined)
  expect((await ask(node, 'GET', '/v2/shop/manifests/v1')).status).toBe(200)
  const response = await responseTo(`/v2/shop/blobs/${digestOf(layer)}`)
  const pieces: Buffer[] = []
  await new Promise<void>(done => response.once('readable', done))
  pieces.push(response.read())
  const stored = node.images.list()[0]!
  const held = node.images.heldChunks(stored)
  expect(held).toBeGreaterThan(0)
  expect(held).toBeLessThan(stored.index.length)
  expect(Buffer.compare(pieces[0]!, layer.subarray(0, pieces[0]!.byteLength))).toBe(0)
  // Others are served meanwhile, and what nobody takes is not fetched.
  await pushBlob(node, 'other', randomBytes(20_000_000))
  expect(node.images.heldChunks(stored)).toBeLessThan(stored.index.length)
  for await (const piece of response) pieces.push(piece as Buffer)
  expect(digestOf(Buffer.concat(pieces))).toBe(digestOf(layer))
  // All but the config, which nobody asked for.
  expect(node.images.heldChunks(stored)).toBe(stored.index.length - 1)
})
