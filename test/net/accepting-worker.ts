/** A thread that accepts connections, counts them, and closes each. */
import { parentPort, workerData } from 'node:worker_threads'
import { TcpListener, type TcpListenerShare } from '../../src/net/index.ts'

interface Setup {
  readonly share?: TcpListenerShare
  readonly port?: number
  readonly reusePort?: boolean
  /** Of all threads. */
  readonly counts: Int32Array
  readonly index: number
}

const { share, port = 0, reusePort = false, counts, index } = workerData as Setup
const listener =
  share === undefined ? await TcpListener.bind({ port, reusePort }) : TcpListener.adopt(share)

/** Does nothing else until it is told by the same word. */
function block(): void {
  Atomics.store(counts, index, -1)
  Atomics.wait(counts, index, -1)
}

parentPort!.on('message', (order: 'share' | 'block') => {
  if (order === 'share') parentPort!.postMessage(listener.share())
  else block()
})

const accepting = (async () => {
  for await (const stream of listener) {
    Atomics.add(counts, index, 1)
    await stream.close()
  }
})()
parentPort!.postMessage('listening')
await accepting
