/**
 * relay: passes what the second of each two connections sends on to the first, by `pipe()` of two streams.
 *
 * Prints its port; ends when its input closes.
 */

import { writeSync } from 'node:fs'
import { attachExecutor } from '../../src/index.ts'
import { TcpListener, type TcpStream } from '../../src/net/index.ts'
import { pipe } from '../../src/streams/index.ts'

attachExecutor({ name: 'relay', spinBeforeParkUs: 0 })
const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0, backlog: 4096 })
writeSync(1, `${listener.address.port}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))

let waiting: TcpStream | null = null
for await (const stream of listener) {
  if (waiting === null) {
    waiting = stream
    continue
  }
  // The load leaves without an end.
  pipe(stream, waiting).catch(() => {})
  waiting = null
}
