import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { test } from 'node:test'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { TcpListener, TcpStream } from '../../src/net/index.ts'

if (isMainThread) {
  test('terminate() of a worker with open sockets closes them all', async () => {
    const runOne = async (): Promise<number> => {
      const worker = new Worker(new URL(import.meta.url))
      await once(worker, 'message')
      await worker.terminate()
      return readdirSync('/proc/self/fd').length
    }
    const before = await runOne()

    await runOne()

    assert.equal(await runOne(), before)
  })
} else {
  const listener = await TcpListener.bind({ port: 0 })
  for (let count = 0; count < 10; count++) {
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    void server.read()
    void client.write(new Uint8Array(16 * 1024 * 1024))
  }
  void listener.accept()
  setTimeout(() => parentPort!.postMessage('busy'), 20)
}
