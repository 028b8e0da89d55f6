// An ordinary web server: it knows nothing of fleetd. It finishes open requests when told to stop.
const http = require('node:http')

const VERSION = 'v1'
const server = http.createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', connection: 'close' })
  response.end(VERSION + '\n')
})
server.listen(Number(process.env.PORT), '127.0.0.1')
process.on('SIGTERM', () => server.close(() => process.exit(0)))
