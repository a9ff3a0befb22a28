import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { configureNet, type NetOptions, netRingFor } from '../../src/net/memory/net-ring.ts'
import { FULL_COUNT } from '../../src/net/receiving/receive-sizes.ts'
import { pipe } from '../../src/streams/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { assertPattern, holdings, Pair, pattern, until } from './support.ts'

const BUFFER_BYTES = 512
const LARGE_BYTES = 16 * BUFFER_BYTES

/** Declares a test on a simulated machine with buffers of {@link BUFFER_BYTES}. */
function testSmall(name: string, body: () => Promise<void>, options: NetOptions = {}): void {
  test(`${name} [sim]`, () =>
    simulate(1, async () => {
      configureNet(executor(), { bufferBytes: BUFFER_BYTES, ...options })
      await body()
    }))
}

/** Reads so much as leases, checks it, and returns how long each was. */
async function readLeases(
  stream: TcpStream,
  fromBytes: number,
  sizeBytes: number,
): Promise<number[]> {
  const lengths: number[] = []
  for (let position = fromBytes; position < fromBytes + sizeBytes; ) {
    using lease = await stream.readLease()
    assert.ok(lease !== null, `the stream ended at ${position}`)
    assertPattern(lease.bytes, position)
    position += lease.lengthBytes
    lengths.push(lease.lengthBytes)
  }
  return lengths
}

testSmall(
  'a busy stream receives into large buffers, and into small ones once it is not',
  async () => {
    const pair = await Pair.open()
    const size = 100 * LARGE_BYTES
    const sent = pair.client.write(pattern(0, size))

    const lengths = await readLeases(pair.server, 0, size)
    await sent
    const answers: number[] = []
    for (let position = size; position < size + 5; position++) {
      await pair.client.write(pattern(position, 1))
      answers.push(...(await readLeases(pair.server, position, 1)))
    }

    assert.ok(lengths.slice(0, FULL_COUNT).every((length) => length <= BUFFER_BYTES))
    assert.ok(lengths.filter((length) => length === LARGE_BYTES).length > 50, lengths.join())
    assert.deepEqual(answers, [1, 1, 1, 1, 1])
    const pending = pair.server.read()
    await pair.client.shutdown()
    assert.equal(await pending, null)
    await pair[Symbol.asyncDispose]()
    assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
  },
)

testSmall(
  'chunks that are the caller’s are of 64 KiB at most, whatever came together',
  async () => {
    const pair = await Pair.open()
    const size = 4_000_000
    let longest = 0
    const sent = pair.client.write(pattern(0, size))

    for (let position = 0; position < size; ) {
      const chunk = await pair.server.read()
      assertPattern(chunk!, position)
      position += chunk!.length
      longest = Math.max(longest, chunk!.length)
    }

    await sent
    assert.equal(longest, 64 * 1024)
    await pair[Symbol.asyncDispose]()
    assert.equal(holdings().bufferCount, 0)
  },
  { bufferBytes: 16 * 1024 },
)

testSmall('more busy streams than there are large buffers go on in small ones', async () => {
  const count = 80
  const size = 20 * LARGE_BYTES
  const pairs = await Promise.all(Array.from({ length: count }, () => Pair.open()))
  const sent = pairs.map((pair) => pair.client.write(pattern(0, size)))
  // These hold large buffers, and read no further.
  const slow = pairs.slice(0, count / 2)
  await Promise.all(slow.map((pair) => readLeases(pair.server, 0, 2 * FULL_COUNT * BUFFER_BYTES)))

  const quick = pairs.slice(count / 2)
  await Promise.all(quick.map((pair) => readLeases(pair.server, 0, size)))

  const { largeBufferCount } = netRingFor(executor(), executor().defaultQueue)
  assert.ok(largeBufferCount <= 64, `${largeBufferCount} large buffers were made`)
  await Promise.all(pairs.map((pair) => pair[Symbol.asyncDispose]()))
  await Promise.allSettled(sent)
  assert.deepEqual([holdings().bufferCount, holdings().operationCount], [0, 0])
})

testSmall('a busy stream that nobody reads holds what one large buffer does', async () => {
  await using pair = await Pair.open()
  const size = 100 * LARGE_BYTES
  const sent = pair.client.write(pattern(0, size))
  sent.catch(() => 'cut by the end of the test')
  const lengths = await readLeases(pair.server, 0, 20 * LARGE_BYTES)
  const readBytes = lengths.reduce((sum, length) => sum + length, 0)

  // Whatever is in flight comes to rest while another stream is served.
  await using other = await Pair.open()
  for (let position = 0; position < 200; position++) {
    await other.client.write(pattern(position, 1))
    await readLeases(other.server, position, 1)
  }

  const heldBytes = pair.server.bytesRead - readBytes
  assert.ok(heldBytes <= LARGE_BYTES, `${heldBytes} bytes are held`)
})

testSmall('a busy stream takes one large buffer per turn beside another', async () => {
  await using bulk = await Pair.open()
  await using echo = await Pair.open()
  const size = 400 * LARGE_BYTES
  let isAtEnd = false
  const sent = bulk.client.write(pattern(0, size))
  const reading = readLeases(bulk.server, 0, size).then(() => {
    isAtEnd = true
  })
  await until(() => bulk.server.bytesRead > 20 * LARGE_BYTES)
  const steps: number[] = []

  for (let position = 0; !isAtEnd && position < 100; position++) {
    const before = bulk.server.bytesRead
    await echo.client.write(pattern(position, 1))
    await readLeases(echo.server, position, 1)
    steps.push(bulk.server.bytesRead - before)
  }

  await Promise.all([sent, reading])
  steps.sort((one, other) => one - other)
  const median = steps[steps.length >> 1]!
  assert.ok(median <= 16 * LARGE_BYTES, `${median} bytes came between an echo and the next`)
})

test('pipe() of two busy streams loses nothing, at once and slowed down by its sink', async () => {
  await using source = await Pair.open()
  await using sink = await Pair.open()
  const size = 20_000_000
  const moved = pipe(source.server, sink.client)
  const sent = source.client.write(pattern(0, size)).then(() => source.client.shutdown())

  const first = await readLeases(sink.server, 0, size / 2)
  await new Promise((resolve) => setImmediate(resolve))
  const halfBytes = first.reduce((sum, length) => sum + length, 0)
  await readLeases(sink.server, halfBytes, size - halfBytes)

  assert.equal(await sink.server.read(), null)
  await sent
  assert.equal(await moved, size)
  assert.equal(holdings().bufferCount, 0)
})

test('a stream may end, be reset and be closed while it receives into large buffers', async () => {
  await using listener = await TcpListener.bind({ port: 0 })
  for (const end of ['shutdown', 'reset', 'close'] as const) {
    const accepting = listener.accept()
    const client = await TcpStream.connect({ port: listener.address.port })
    const server = await accepting
    const size = 4_000_000
    const sent = client.write(pattern(0, size))
    await readLeases(server, 0, 3_000_000)

    if (end === 'close') await server.close()
    else await sent
    if (end === 'close') await sent.catch(() => 'cut')
    else await client[end]()
    if (end === 'shutdown') {
      let leftBytes = 0
      for await (const lease of server.leases()) leftBytes += lease.lengthBytes
      assert.ok(leftBytes > 0)
      assert.equal(server.bytesRead, size)
    }
    await client.close()
    await server.close()
    assert.equal(holdings().bufferCount, 0)
  }
})
