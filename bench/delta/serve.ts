// A folder over HTTP with the ranges that zsync asks for: one or several at a time (RFC 9110, section 14).
import { openSync, readFileSync, readSync, statSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { join, normalize } from 'node:path'

const folder = process.argv[2]!

createServer((request, response) => {
  const path = join(folder, normalize(decodeURIComponent(new URL(request.url!, 'http://host').pathname)))
  const size = statSync(path, { throwIfNoEntry: false })?.size
  if (size === undefined) return void response.writeHead(404).end()
  const ranges = /^bytes=(.+)$/.exec(request.headers.range ?? '')?.[1]
  if (ranges === undefined) return void response.writeHead(200, { 'content-length': size }).end(readFileSync(path))
  sendRanges(
    response,
    path,
    size,
    ranges.split(',').map(range => range.split('-').map(Number) as [number, number]),
  )
}).listen(8080, '0.0.0.0')

function sendRanges(response: ServerResponse, path: string, size: number, ranges: readonly [number, number][]): void {
  const file = openSync(path, 'r')
  const parts = ranges.map(([from, to]) => {
    const bytes = Buffer.alloc(Math.min(to, size - 1) - from + 1)
    readSync(file, bytes, 0, bytes.length, from)
    return { bytes, range: `bytes ${from}-${from + bytes.length - 1}/${size}` }
  })
  if (parts.length === 1) {
    const [{ bytes, range }] = parts as [(typeof parts)[0]]
    return void response.writeHead(206, { 'content-range': range, 'content-length': bytes.length }).end(bytes)
  }
  const body = Buffer.concat([
    ...parts.flatMap(({ bytes, range }) => [Buffer.from(`\r\n--part\r\ncontent-range: ${range}\r\n\r\n`), bytes]),
    Buffer.from('\r\n--part--\r\n'),
  ])
  response
    .writeHead(206, { 'content-type': 'multipart/byteranges; boundary=part', 'content-length': body.length })
    .end(body)
}
