// A plain HTTP server for one file and, beside it, a BitTorrent tracker (BEP 3, compact lists as in BEP 23).
import { createReadStream, statSync } from 'node:fs'
import bencode from 'bencode'
import fastify from 'fastify'

const file = process.argv[2]!
const peers = new Map<string, Buffer>()
const server = fastify()

server.get('/ready', () => 'ready')
server.get('/peers', () => [...peers.keys()].join('\n'))
server.get('/file', (_, reply) =>
  reply
    .header('content-length', statSync(file).size)
    .type('application/octet-stream')
    .send(createReadStream(file, { highWaterMark: 1024 * 1024 })),
)
server.get<{ Querystring: { port: string } }>('/announce', ({ ip, query }, reply) => {
  const own = Buffer.alloc(6)
  own.set(ip.split('.').map(Number))
  own.writeUInt16BE(Number(query.port), 4)
  const others = [...peers].filter(([address]) => address !== ip).map(([, compact]) => compact)
  peers.set(ip, own)
  return reply.type('text/plain').send(Buffer.from(bencode.encode({ interval: 2, peers: Buffer.concat(others) })))
})
await server.listen({ host: '0.0.0.0', port: 8080 })
