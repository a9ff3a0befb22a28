/** node-relay: passes what the second of each two connections sends on to the first, by `pipe()` of node:net. */

import { writeSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { endWithStdin } from './node-server.ts'

let waiting: Socket | null = null

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', socket.destroy)
  if (waiting === null) {
    waiting = socket
    return
  }
  socket.pipe(waiting)
  waiting = null
})
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Cannot listen: no port')
  writeSync(1, `${address.port}\n`)
})
endWithStdin()
