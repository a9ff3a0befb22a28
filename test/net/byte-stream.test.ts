/** A connection as a source and a sink of bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer } from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import type { ByteSink, ByteSource } from '../../src/streams/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { Pair } from './support.ts'

async function drain(source: ByteSource): Promise<string> {
  let text = ''
  for (;;) {
    using lease = await source.pull()
    if (lease === null) return text
    text += Buffer.from(lease.bytes).toString('latin1')
  }
}

testOnBoth('pull() gives leases until the end, and again null after it', async () => {
  await using pair = await Pair.open()
  const source: ByteSource = pair.server
  await pair.client.write(Buffer.from('ping'))
  await pair.client.shutdown()

  const text = await drain(source)

  assert.equal(text, 'ping')
  assert.equal(await source.pull(), null)
})

testOnBoth('push() sends in order, and releases a lease that it was given', async () => {
  await using pair = await Pair.open()
  const sink: ByteSink = pair.client
  const lease = allocateBuffer(4)
  lease.bytes.set(Buffer.from('two,'))

  const pushes = [sink.push(Buffer.from('one,')), sink.push(lease), sink.push(Buffer.from('three'))]
  await Promise.all([...pushes, sink.end()])

  assert.equal(lease.isReleased, true)
  assert.equal(await drain(pair.server), 'one,two,three')
})

testOnBoth('push() releases a lease though it refuses it', async () => {
  await using pair = await Pair.open()
  const lease = allocateBuffer(4)
  await pair.client.end()

  const pushing = pair.client.push(lease)

  await assert.rejects(pushing, { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(lease.isReleased, true)
})

test('push() refuses what is neither bytes nor a lease', async () => {
  await using pair = await Pair.open()

  await assert.rejects(pair.client.push('text' as never), TypeError)
})

testOnBoth('end() leaves the other direction open', async () => {
  await using pair = await Pair.open()
  await pair.client.end()

  await pair.server.push(Buffer.from('answer'))
  await pair.server.end()

  assert.equal(await drain(pair.server), '')
  assert.equal(await drain(pair.client), 'answer')
})

testOnBoth('abort() has the peer see a failure, not an end', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  const accepting = listener.accept()
  const client = await TcpStream.connect({ port: listener.address.port })
  await using server = await accepting
  const pulling = server.pull()

  await client.abort()

  await assert.rejects(pulling, { code: 'ECONNRESET' })
  await client.abort()
})
