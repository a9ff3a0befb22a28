/** Writers where peers that have stopped reading, and holders of leases, have taken all memory. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, attachExecutor, executor } from '../../src/executor/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { ignore, pattern, readPattern, until } from './support.ts'

const MEMORY = { ioMemoryBytes: 2 ** 20, ioMemoryBytesMax: 2 ** 22 }
/** More than there are buffers of the reserve. */
const STUCK_COUNT = 100
const STUCK_BYTES = 2 ** 20
const SOCKET_BYTES = 2 ** 17

attachExecutor(MEMORY)

function testOnBoth(name: string, body: () => Promise<void>): void {
  test(`${name} [uring]`, body)
  const options = { executor: MEMORY, socketBufferBytes: SOCKET_BYTES }
  test(`${name} [sim]`, () => simulate({ seed: 1, ...options }, body))
}

/** Connections of one listener, whose buffers in the kernel are small, but not less than loopback's segments. */
class Connections implements AsyncDisposable {
  readonly #listener: TcpListener
  readonly #streams: TcpStream[] = []

  private constructor(listener: TcpListener) {
    this.#listener = listener
  }

  static async open(): Promise<Connections> {
    return new Connections(await TcpListener.bind({ port: 0 }))
  }

  async connect(): Promise<{ readonly client: TcpStream; readonly server: TcpStream }> {
    const accepting = this.#listener.accept()
    const client = await TcpStream.connect({ port: this.#listener.address.port })
    const server = await accepting
    this.#streams.push(client, server)
    if (executor().kernel.name !== 'sim') {
      client.setSendBufferBytes(SOCKET_BYTES)
      server.setReceiveBufferBytes(SOCKET_BYTES)
    }
    return { client, server }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#streams.map((stream) => stream.close()))
    await this.#listener.close()
  }
}

/** Takes all I/O memory that there is for users. */
function hoardAll(): Lease[] {
  const leases: Lease[] = []
  for (let lengthBytes = 2 ** 20; lengthBytes >= 512; ) {
    try {
      leases.push(allocateBuffer(lengthBytes))
    } catch {
      lengthBytes /= 2
    }
  }
  return leases
}

function releaseAll(leases: readonly Lease[]): void {
  for (const lease of leases) lease.release()
}

interface StuckWrite {
  readonly client: TcpStream
  readonly server: TcpStream
  readonly isDone: Promise<void>
}

/**
 * Writes at once to many peers that do not read, followed by `last`, before any of it is sent: there is not
 * memory for all.
 */
async function writeStuck(connections: Connections, last: () => void): Promise<StuckWrite[]> {
  const data = pattern(0, STUCK_BYTES)
  const pairs = []
  for (let index = 0; index < STUCK_COUNT; index++) pairs.push(await connections.connect())
  const writes = pairs.map(({ client, server }) => ({ client, server, isDone: client.write(data) }))
  for (const { isDone } of writes) isDone.catch(ignore)
  last()
  return writes
}

function areStuck(writes: readonly StuckWrite[]): boolean {
  return writes.every(({ client }) => client.bytesWritten > 0)
}

/** Reads what some of them get; the others are stuck to the end. */
async function readStuck(writes: readonly StuckWrite[]): Promise<void> {
  for (let index = 0; index < writes.length; index += 10) {
    await readPattern(writes[index]!.server, STUCK_BYTES)
    await writes[index]!.isDone
  }
}

for (const hoards of [false, true]) {
  const others = hoards ? 'peers and holders of leases' : 'peers'
  testOnBoth(`write() goes on where ${others} that are stuck have all memory`, async () => {
    await using connections = await Connections.open()
    const leases = hoards ? hoardAll() : []
    const { client, server } = await connections.connect()
    const stuck = await writeStuck(connections, ignore)

    for (let round = 0; round < 3; round++) {
      const isSent = client.write(pattern(0, 300_000))
      await readPattern(server, 300_000)
      await isSent
    }

    assert.ok(areStuck(stuck), 'nobody is passed over')
    await readStuck(stuck)
    releaseAll(leases)
  })
}

testOnBoth('write() to stuck peers takes a quarter of the memory at most', async () => {
  await using connections = await Connections.open()
  const { memory } = executor()
  const before = memory.usedBytes - memory.reserve.allocator.usedBytes

  const stuck = await writeStuck(connections, ignore)
  await until(() => areStuck(stuck))

  const after = memory.usedBytes - memory.reserve.allocator.usedBytes
  assert.ok(after - before <= memory.sizeBytesMax / 4, `${after - before} bytes more`)
})

testOnBoth('write() is served in the order of the calls where memory is short', async () => {
  await using connections = await Connections.open()
  const leases = hoardAll()
  const pairs: Awaited<ReturnType<Connections['connect']>>[] = []
  for (let index = 0; index < 20; index++) pairs.push(await connections.connect())
  const order: number[] = []
  let writes: Promise<void>[] = []

  await writeStuck(connections, () => {
    writes = pairs.map(async ({ client }, index) => {
      await client.write(pattern(0, 1000))
      order.push(index)
    })
  })
  await Promise.all(writes)

  assert.deepEqual(order, [...pairs.keys()])
  for (const { server } of pairs) await readPattern(server, 1000)
  releaseAll(leases)
})

testOnBoth('write() that waits for memory is withdrawn by its signal', async () => {
  await using connections = await Connections.open()
  const leases = hoardAll()
  const { client, server } = await connections.connect()
  const controller = new AbortController()
  let writes: Promise<void>[] = []

  await writeStuck(connections, () => {
    const { signal } = controller
    writes = [
      client.write(pattern(0, 1000), { signal }),
      client.write(new Uint8Array(0)),
      client.write(pattern(0, 2000)),
    ]
    controller.abort()
  })

  await assert.rejects(writes[0]!, { name: 'AbortError' })
  await readPattern(server, 2000)
  await Promise.all(writes.slice(1))
  releaseAll(leases)
})

testOnBoth('shutdown() resolves when the writes that waited for memory are withdrawn', async () => {
  await using connections = await Connections.open()
  const leases = hoardAll()
  const { client, server } = await connections.connect()
  const controller = new AbortController()
  let cancelled: Promise<void> | null = null
  let isShut: Promise<void> | null = null

  await writeStuck(connections, () => {
    cancelled = client.write(pattern(0, 1000), { signal: controller.signal })
    isShut = client.shutdown()
    controller.abort()
  })

  await assert.rejects(cancelled!, { name: 'AbortError' })
  await isShut
  assert.equal(await server.read(), null)
  releaseAll(leases)
})

for (const isSent of [false, true]) {
  const those = isSent ? 'wait for a stuck peer without memory' : 'wait for memory'
  testOnBoth(`close() ends writes that ${those}`, async () => {
    await using connections = await Connections.open()
    const leases = hoardAll()
    let isClosed: Promise<unknown> | null = null
    let stuck: StuckWrite[] = []
    const { client } = await connections.connect()
    let write: Promise<void> | null = null

    stuck = await writeStuck(connections, () => {
      write = client.write(pattern(0, 1000))
      write.catch(ignore)
      if (!isSent) isClosed = client.close()
    })
    if (isSent) await until(() => areStuck(stuck))
    isClosed ??= Promise.all(stuck.map((pair) => pair.client.close()))
    await isClosed

    const ended = isSent ? stuck.map(({ isDone }) => isDone) : [write!]
    for (const one of ended) await assert.rejects(one, { code: 'ERR_HANDLE_CLOSED' })
    releaseAll(leases)
  })

  test(`close() of the executor ends writes that ${those}`, async () => {
    const options = { seed: 1, executor: MEMORY, checkDescriptors: false }
    await simulate(options, async () => {
      const connections = await Connections.open()
      hoardAll()
      let isClosed: Promise<void> | null = null

      const stuck = await writeStuck(connections, () => {
        if (!isSent) isClosed = executor().close()
      })
      if (isSent) await until(() => areStuck(stuck))
      isClosed ??= executor().close()

      for (const { isDone } of stuck) await assert.rejects(isDone, { code: 'ERR_EXECUTOR_CLOSED' })
      await isClosed
    })
  })
}
