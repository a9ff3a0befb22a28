import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { currentOrNull } from '../../src/executor/index.ts'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { sleep } from '../../src/time/index.ts'

/** A realm of its own, as test runners give to each file: its classes are not ours. */
const realm = createContext({})
const foreignBytes: Uint8Array = runInContext('new Uint8Array([1, 2, 3])', realm)

after(() => currentOrNull()?.close())

async function openPair(): Promise<{
  listener: TcpListener
  client: TcpStream
  server: TcpStream
}> {
  const listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  return { listener, client, server: await accepting }
}

test('files and streams take a Uint8Array of another realm', async () => {
  const path = join(tmpdir(), `percore-realm-${process.pid}`)
  const { listener, client, server } = await openPair()
  const file = await BufferedFile.create(path)
  const direct = await DirectFile.open(path, { read: true, write: true, fallback: 'buffered' })
  const target: Uint8Array = runInContext('new Uint8Array(8)', realm)

  await client.write(foreignBytes)
  const received = await server.readInto(target)
  await file.write(foreignBytes, 0)
  await direct.writeBytes(foreignBytes, 3)
  const read = await file.readInto(target, 0)

  assert.ok(!(foreignBytes instanceof Uint8Array))
  assert.equal(received, 3)
  assert.equal(read, 6)
  assert.deepEqual([...target.subarray(0, 6)], [1, 2, 3, 1, 2, 3])
  await file.remove()
  for (const closable of [file, direct, client, server, listener]) await closable.close()
})

test('files and streams refuse other views and buffers, and say how to get at their bytes', async () => {
  const { listener, client, server } = await openPair()
  const views = [new Uint16Array(2), new DataView(new ArrayBuffer(2)), new Float64Array(1)]

  for (const view of views) {
    const hint = /its bytes are new Uint8Array\(data\.buffer, data\.byteOffset, data\.byteLength\)$/
    await assert.rejects(client.write(view as never), { name: 'TypeError', message: hint })
    await assert.rejects(server.readInto(view as never), TypeError)
  }
  await assert.rejects(client.write(new ArrayBuffer(2) as never), TypeError)
  await assert.rejects(client.write('text' as never), TypeError)

  for (const closable of [client, server, listener]) await closable.close()
})

test('waits take an AbortSignal that is not of this realm', async () => {
  // As jsdom and polyfills have it: a class of its own, by the same rules.
  class OtherSignal extends EventTarget {
    aborted = false
    reason: unknown
  }
  const signal = new OtherSignal()
  const sleeping = sleep(60_000, { signal: signal as AbortSignal })
  signal.aborted = true
  signal.reason = new Error('enough')
  signal.dispatchEvent(new Event('abort'))

  await assert.rejects(sleeping, { message: 'enough' })
  await assert.rejects(sleep(1, { signal: { aborted: false } as AbortSignal }), TypeError)
})

test('open() takes a URL that is not of this realm', async () => {
  const path = join(tmpdir(), `percore realm-${process.pid}`)
  const { href, protocol } = pathToFileURL(path)
  const file = await BufferedFile.create({ href, protocol } as URL)

  assert.equal(file.path, path)
  await file.remove()
  await file.close()
  await assert.rejects(BufferedFile.open({ path } as never), TypeError)
})
