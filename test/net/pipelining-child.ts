/**
 * pipelining-child PROXY_PORT CLIENTS REQUESTS: the clients of a proxy, and its backend, on Node's own sockets.
 *
 * Prints the backend's port. Each client sends one-byte requests and waits for nothing; the backend answers
 * none before all are sent. Ends when every client has its answers, in order, and fails if one is wrong.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setImmediate as nextRound } from 'node:timers/promises'

/** So many send in turn, which makes of most requests a message of its own. */
const BATCH_COUNT = 25

const [proxyPort = 0, clientCount = 0, requestCount = 0] = process.argv.slice(2).map(Number)
let areAllSent = false
const unanswered: (() => void)[] = []
let waitingCount = clientCount

const backend = createServer({ noDelay: true }, serve)
backend.listen({ port: 0, host: '127.0.0.1', backlog: 4096 })
await once(backend, 'listening')
process.stdout.write(`${(backend.address() as AddressInfo).port}\n`)

for (let client = 0; client < clientCount; client += BATCH_COUNT) {
  const sockets: Socket[] = []
  for (let index = client; index < Math.min(client + BATCH_COUNT, clientCount); index++) {
    sockets.push(await openClient(index))
  }
  for (let request = 0; request < requestCount; request++) {
    for (const [index, socket] of sockets.entries()) {
      socket.write(new Uint8Array([byteOf(client + index, request)]))
    }
    await nextRound()
  }
}
areAllSent = true
for (const answer of unanswered) answer()

function serve(socket: Socket): void {
  socket.on('data', (requests) => {
    const answer = (): boolean => socket.write(requests)
    if (areAllSent) answer()
    else unanswered.push(answer)
  })
}

async function openClient(client: number): Promise<Socket> {
  const socket = connect({ port: proxyPort, host: '127.0.0.1', noDelay: true })
  let answerCount = 0
  socket.on('data', (answers) => {
    for (const byte of answers) {
      assert.ok(answerCount < requestCount, 'nothing comes after the last answer')
      assert.equal(byte, byteOf(client, answerCount++))
    }
    if (answerCount === requestCount && --waitingCount === 0) process.exit(0)
  })
  socket.on('end', () => assert.fail(`the proxy leaves client ${client} after ${answerCount}`))
  await once(socket, 'connect')
  return socket
}

/** Tells the requests of a client apart, and those of clients from each other. */
function byteOf(client: number, request: number): number {
  return (client * 31 + request) & 255
}
