/** Sends without the kernel's copy: their memory is free with a second completion, not with the result. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet } from '../../src/net/memory/net-ring.ts'
import {
  KIND_ONE,
  KIND_VECTOR,
  KIND_ZERO_COPY,
  SendOperation,
} from '../../src/net/sending/send-operation.ts'
import { simulate } from '../../src/testing/index.ts'
import { holdings, Pair, pattern, readPattern, until } from './support.ts'

const BLOCK_BYTES = 32 * 1024

configure()

function configure(): void {
  configureNet(executor(), { zeroCopyBytesMin: BLOCK_BYTES })
}

function testOnBoth(name: string, body: () => Promise<void>): void {
  test(`${name} [uring]`, body)
  test(`${name} [sim]`, async () => {
    await simulate(1, async () => {
      configure()
      await body()
    })
  })
}

function filled(startBytes: number, lengthBytes: number) {
  const lease = allocateBuffer(lengthBytes)
  lease.bytes.set(pattern(startBytes, lengthBytes))
  return lease
}

testOnBoth('memory that is changed as the write has ended is not what arrives', async () => {
  await using pair = await Pair.open()
  const { client, server } = pair
  const lease = allocateBuffer(BLOCK_BYTES)
  const reading = readPattern(server, 20 * BLOCK_BYTES)

  for (let count = 0; count < 20; count++) {
    lease.bytes.set(pattern(count * BLOCK_BYTES, BLOCK_BYTES))
    await client.write(lease)
    lease.bytes.fill(0)
  }

  await reading
  lease.release()
})

testOnBoth(
  'leases that are released at once arrive whole, in order, also among others',
  async () => {
    await using pair = await Pair.open()
    const { client, server } = pair
    const sizes = [
      BLOCK_BYTES,
      10,
      8192,
      8192,
      3 * BLOCK_BYTES,
      1,
      BLOCK_BYTES - 1,
      2 * BLOCK_BYTES,
    ]
    let position = 0
    const writes: Promise<void>[] = []
    for (const size of sizes) {
      using lease = filled(position, size)
      writes.push(client.write(lease))
      position += size
    }

    await readPattern(server, position)

    await Promise.all(writes)
  },
)

testOnBoth(
  'a larger write than the peer takes at once is gone on with where it was cut',
  async () => {
    await using pair = await Pair.open()
    const { client, server } = pair
    client.setSendBufferBytes(65_536)
    using lease = filled(0, 2 ** 21)

    const writing = client.write(lease)
    await until(() => client.bytesWritten > 0)

    await readPattern(server, 2 ** 21)
    await writing
  },
)

testOnBoth(
  'close() fails a write that the peer has not acknowledged, and leaves nothing',
  async () => {
    await using listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    await client.write(new Uint8Array(1))
    await server.read()
    const before = holdings()
    const memoryBefore = executor().memory.leasedCount
    const lease = filled(0, 2 ** 22)
    const writing = client.write(lease)
    const outcome = assert.rejects(writing, { code: 'ERR_HANDLE_CLOSED' })
    await until(() => client.bytesWritten > 0)
    lease.release()

    await client.close()
    await outcome
    await server.close()

    await until(() => holdings().operationCount <= before.operationCount)
    await until(() => executor().memory.leasedCount <= memoryBefore)
  },
)

test('a write that is given up before it is acknowledged cuts nothing [sim]', async (t) => {
  await simulate(1, async () => {
    configure()
    await using pair = await Pair.open()
    const { client, server } = pair
    const controller = new AbortController()
    const complete = SendOperation.prototype.complete
    const mock = t.mock.method(
      SendOperation.prototype,
      'complete',
      function (this: SendOperation, result: number, flags: number): void {
        complete.call(this, result, flags)
        controller.abort(new Error('enough'))
      },
    )
    using lease = filled(0, BLOCK_BYTES)

    const writing = client.write(lease, { signal: controller.signal })

    const next = client.write(pattern(BLOCK_BYTES, BLOCK_BYTES))
    await assert.rejects(writing, /enough/)
    mock.mock.restore()
    await readPattern(server, 2 * BLOCK_BYTES)
    await next
  })
})

test('the next send begins with the result, not with the acknowledgement [sim]', async () => {
  await simulate(1, async () => {
    configure()
    await using pair = await Pair.open()
    const { client, server } = pair
    const events: string[] = []
    using lease = filled(0, BLOCK_BYTES)
    const first = client.write(lease).then(() => events.push('lease'))
    const second = client.write(pattern(BLOCK_BYTES, 10)).then(() => events.push('bytes'))

    await Promise.all([first, second])

    assert.deepEqual(events, ['bytes', 'lease'])
    await readPattern(server, BLOCK_BYTES + 10)
  })
})

test('what waits together goes as one vector, and large leases alone [sim]', async (t) => {
  await simulate(1, async () => {
    configure()
    await using pair = await Pair.open()
    const { client, server } = pair
    const kinds: number[] = []
    const encode = SendOperation.prototype.encode
    t.mock.method(
      SendOperation.prototype,
      'encode',
      function (this: SendOperation, ...args: Parameters<typeof encode>): void {
        kinds.push(this.kind)
        encode.apply(this, args)
      },
    )
    const sizes = [8, 10, 8192, 20, 8192, BLOCK_BYTES]
    let position = 0
    const writes = sizes.map((size, index) => {
      const start = position
      position += size
      if (index < 2) return client.write(pattern(start, size))
      using lease = filled(start, size)
      return client.write(lease)
    })

    await Promise.all([readPattern(server, position), ...writes])

    // The first was alone as it came.
    assert.deepEqual(kinds, [KIND_ONE, KIND_VECTOR, KIND_ZERO_COPY])
  })
})
