/** What the node:net peers share: the plainest fast echo, and the rule by which a server ends. */

import { writeSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'

/** Echoes on a free port of 127.0.0.1, once it has printed that port alone on a line. */
export async function listenAndPrintPort(): Promise<void> {
  const server = createServer({ noDelay: true }, echo)
  await new Promise<void>((resolve) =>
    server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve),
  )
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('Cannot listen: no port')
  writeSync(1, `${address.port}\n`)
}

/** Ends the process when its input closes, printing a last line if there is one to print. */
export function endWithStdin(lastLine?: () => string): void {
  process.stdin.resume()
  process.stdin.on('end', () => {
    if (lastLine !== undefined) writeSync(1, `${lastLine()}\n`)
    process.exit(0)
  })
}

// Listeners that all sockets share, which get theirs as `this`: a closure each would be memory each.

function echo(socket: Socket): void {
  socket.on('data', sendBack)
  socket.on('error', socket.destroy)
}

function sendBack(this: Socket, bytes: Buffer): void {
  if (this.write(bytes)) return
  this.pause()
  this.once('drain', this.resume)
}
