/**
 * udp echo | receive | send | segments PORT SIZE SECONDS WARMUP: percore's side of datagrams.
 *
 * A server prints its port, answers with its count to a datagram of one byte, and ends when its input closes. A sender
 * prints how many it has sent in SECONDS, and the CPU that this took.
 */

import { writeSync } from 'node:fs'
import { attachExecutor } from '../../src/index.ts'
import { type DatagramLease, UdpSocket } from '../../src/net/index.ts'
import { measureSends, writeCount } from '../sends.ts'

const [mode = 'echo', port = '0', size = '64', seconds = '1', warmup = '0'] = process.argv.slice(2)
const AT_ONCE = 64
/** In one call: 60,000 bytes of the larger ones. */
const SEGMENTS = 50

attachExecutor({ name: 'udp' })
if (mode === 'send') await send()
else if (mode === 'segments') await sendSegments()
else await serve()

async function serve(): Promise<void> {
  const socket = await UdpSocket.bind({ host: '127.0.0.1', port: 0, receiveBufferBytes: 1 << 20 })
  let count = 0
  const answer = (lease: DatagramLease): unknown => {
    count++
    if (lease.lengthBytes === 1) return socket.send(writeCount(count), { to: lease.from as never })
    if (mode === 'echo') void socket.send(lease, { to: lease.from as never })
    return undefined
  }
  socket.consume({ onLease: answer, onEnd: () => {} })
  writeSync(1, `${socket.localAddress.port}\n`)
  process.stdin.resume()
  process.stdin.on('end', () => process.exit(0))
}

async function send(): Promise<void> {
  const socket = await UdpSocket.connect({ host: '127.0.0.1', port: Number(port) })
  const data = new Uint8Array(Number(size))
  const sends: Promise<void>[] = []
  await measureSends(Number(seconds), Number(warmup), async () => {
    for (let index = 0; index < AT_ONCE; index++) sends.push(socket.send(data))
    await Promise.all(sends)
    sends.length = 0
    return AT_ONCE
  })
  await socket.close()
}

async function sendSegments(): Promise<void> {
  const socket = await UdpSocket.connect({ host: '127.0.0.1', port: Number(port) })
  const data = new Uint8Array(Number(size) * SEGMENTS)
  const options = { segmentBytes: Number(size) }
  await measureSends(Number(seconds), Number(warmup), async () => {
    await Promise.all([socket.send(data, options), socket.send(data, options)])
    return 2 * SEGMENTS
  })
  await socket.close()
}
