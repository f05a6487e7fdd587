// npm's aedes on one port: node aedes_broker.mjs PORT tcp|tls|mutual|ws CHAIN KEY CA, with NODE_PATH naming node_modules.
import { createServer } from 'node:net'
import { createServer as createTls } from 'node:tls'
import { createServer as createHttp } from 'node:http'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [port, kind, chain, key, ca] = process.argv.slice(2)
// aedes is an ES module, and those are not looked up in NODE_PATH.
const { Aedes } = await import(pathToFileURL(join(process.env.NODE_PATH, 'aedes', 'aedes.js')))
const aedes = await Aedes.createBroker({ queueLimit: 100000 })
const read = () => ({ cert: readFileSync(chain), key: readFileSync(key) })
let server
if (kind === 'tcp') server = createServer(aedes.handle)
else if (kind === 'tls') server = createTls(read(), aedes.handle)
else if (kind === 'mutual') {
  server = createTls({ ...read(), ca: readFileSync(ca), requestCert: true, rejectUnauthorized: true }, aedes.handle)
} else {
  const ws = createRequire(import.meta.url)('ws')
  server = createHttp()
  const sockets = new ws.WebSocketServer({ server, handleProtocols: (offered) => offered.has('mqtt') && 'mqtt' })
  sockets.on('connection', (socket, request) => aedes.handle(ws.createWebSocketStream(socket), request))
}
aedes.on('clientError', () => {})
aedes.on('connectionError', () => {})
server.listen(Number(port), '127.0.0.1')
// A peer on plain TCP beside it, one port up where the first is not plain.
if (kind !== 'tcp') createServer(aedes.handle).listen(Number(process.env.PLAIN_PORT), '127.0.0.1')
