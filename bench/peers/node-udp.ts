/** node-udp echo | receive | send | segments PORT SIZE SECONDS WARMUP: node:dgram's side of datagrams, which has one way to send; see percore/udp. */

import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { writeSync } from 'node:fs'
import { measureSends, writeCount } from '../sends.ts'
import { endWithStdin } from './node-server.ts'

const [mode = 'echo', port = '0', size = '64', seconds = '1', warmup = '0'] = process.argv.slice(2)
const AT_ONCE = 64

if (mode === 'send' || mode === 'segments') await send()
else await serve()

async function serve(): Promise<void> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 })
  let count = 0
  socket.on('message', (message: Buffer, { port: from, address }: RemoteInfo) => {
    count++
    if (message.length === 1) socket.send(writeCount(count), from, address)
    else if (mode === 'echo') socket.send(message, from, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  writeSync(1, `${socket.address().port}\n`)
  endWithStdin()
}

async function send(): Promise<void> {
  const socket = createSocket('udp4')
  socket.connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  const data = Buffer.alloc(Number(size))
  await measureSends(Number(seconds), Number(warmup), () => sendSome(socket, data))
  socket.close()
}

/** By callbacks, as its users do who want speed. */
function sendSome(socket: Socket, data: Buffer): Promise<number> {
  return new Promise((resolve) => {
    let left = AT_ONCE
    const onSent = (): void => {
      if (--left === 0) resolve(AT_ONCE)
    }
    for (let index = 0; index < AT_ONCE; index++) socket.send(data, onSent)
  })
}
