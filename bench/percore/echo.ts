/**
 * echo MODE CONNECTIONS SIZE [STYLE]: a percore echo server, `park`ed, `spin`ning or `idle`.
 *
 * It serves a connection by a loop over chunks of its own (`await`, unless told), by a loop over leases
 * (`lease`), or by a consumer of leases that all share (`consume`). Prints its port; ends when its input
 * closes.
 */

import { writeSync } from 'node:fs'
import { attachExecutor } from '../../src/index.ts'
import { type StreamConsumer, TcpListener, type TcpStream } from '../../src/net/index.ts'

const SPIN_US = 1_000_000

const echo: StreamConsumer = {
  onLease: (lease, stream) => stream.write(lease),
  // A peer that resets ends its own connection only.
  onEnd: (_error, stream) => stream.close(),
}

attachExecutor({ name: 'echo', spinBeforeParkUs: process.argv[2] === 'spin' ? SPIN_US : 0 })
const style = process.argv[5] ?? 'await'
const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0, backlog: 4096 })
writeSync(1, `${listener.address.port}\n`)
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
for await (const stream of listener) {
  if (style === 'consume') stream.consume(echo)
  else void serve(stream)
}

async function serve(stream: TcpStream): Promise<void> {
  try {
    if (style === 'lease') for await (const lease of stream.leases()) await stream.write(lease)
    else for await (const chunk of stream) await stream.write(chunk)
  } catch {
    // A peer that resets ends its own connection only.
  }
  await stream.close()
}
