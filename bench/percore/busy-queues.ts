/**
 * busy-queues QUEUES WARMUP SECONDS: Node's sockets and an echo in a latency class, beside busy task queues.
 *
 * In each queue tasks do nothing but yield. Prints the port of `node:http`; when its input closes, prints how
 * long both echoes took and how often tasks yielded, and ends.
 */

import { createTaskQueue, spawnInto, yieldNow } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { BusyQueues, TASKS_PER_QUEUE } from '../busy-load.ts'
import { endWithStdin } from '../peers/node-server.ts'

const [queueCount = 0, warmupSeconds = 0, seconds = 0] = process.argv.slice(2).map(Number)
const load = new BusyQueues(warmupSeconds, seconds)

const port = await load.serve()
const serving = createTaskQueue('serving', { latency: { maxMs: 2 } })
await spawnInto(serving, serveEcho)
for (let index = 0; index < queueCount; index++) {
  const queue = createTaskQueue(`busy-${index}`)
  for (let task = 0; task < TASKS_PER_QUEUE; task++) void spawnInto(queue, yieldForEver)
}
endWithStdin(() => JSON.stringify(load.finish()))
process.stdout.write(`${port}\n`)

async function yieldForEver(): Promise<void> {
  for (;;) {
    load.yields.count++
    await yieldNow()
  }
}

async function serveEcho(): Promise<void> {
  const listener = await TcpListener.bind({ host: '127.0.0.1', port: 0 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ host: '127.0.0.1', port: listener.address.port })
  const server = await accepting
  server.consume({ onLease: (lease) => server.write(lease), onEnd: () => server.close() })
  void spawnInto(serving, async () => {
    for (;;) {
      load.echo.send()
      await client.write(new Uint8Array(1))
      await client.read()
      load.echo.receive()
    }
  })
}
