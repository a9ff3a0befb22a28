/** Buffers that drivers for I/O hand to drivers for tasks, on the threads of this process. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import {
  adoptBuffer,
  allocateBuffer,
  attachExecutor,
  type BufferTicket,
  detachBuffer,
  discardBuffer,
  executor,
  type Lease,
} from '../../src/index.ts'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { type Driver, Runtime } from '../../src/runtime/index.ts'
import { CpuSet } from '../../src/topology/index.ts'
import { limited } from '../limits.ts'

const LIMIT = limited(60_000)
const module = new URL('./buffers.js', import.meta.url)
const KIB = 1024

const MEMORY_BYTES = 1024 * KIB

attachExecutor({ ioMemoryBytes: MEMORY_BYTES, ioMemoryBytesMax: MEMORY_BYTES })
after(() => executor().close())

interface Pair {
  readonly runtime: Runtime
  readonly io: Driver
  readonly task: Driver
}

/** A driver for I/O with 256 KiB of memory at most, and one for tasks. */
async function startPair(): Promise<Pair> {
  const [cpu] = CpuSet.allowed()
  const runtime = await Runtime.start({
    cpus: CpuSet.allowed().filter(({ id }) => id === cpu!.id),
    layout: ({ cpus }) => [
      { kind: 'io', cpus },
      { kind: 'task', cpus },
    ],
    executor: { ioMemoryBytes: 256 * KIB, ioMemoryBytesMax: 256 * KIB },
    onExit: () => {},
  })
  return { runtime, io: runtime.driver('io-0.0'), task: runtime.driver('task-0.0') }
}

function call<Result>(driver: Driver, name: string, argument?: unknown): Promise<Result> {
  return driver.run<Result>({ module, name, argument })
}

function fill(driver: Driver, value: number, kib = 4): Promise<BufferTicket> {
  return call(driver, 'fill', { value, lengthBytes: kib * KIB })
}

async function leasedCount(driver: Driver): Promise<number> {
  return (await call<{ leasedCount: number }>(driver, 'memory')).leasedCount
}

async function untilLeased(driver: Driver, count: number): Promise<void> {
  while ((await leasedCount(driver)) !== count) await new Promise(setImmediate)
}

test(
  'a driver for tasks sees memory of a driver for I/O, gives it back, and maps none',
  LIMIT,
  async () => {
    const { runtime, io, task } = await startPair()
    await using _owned = runtime
    const ticket = await fill(io, 2)
    assert.equal(await leasedCount(io), 1)

    assert.equal(await call(task, 'sum', ticket), 2 * 4 * KIB)

    await untilLeased(io, 0)
    assert.deepEqual(await call(task, 'memory'), { sizeBytes: 0, leasedCount: 0 })
    assert.ok((await call<{ sizeBytes: number }>(io, 'memory')).sizeBytes > 0)
    await runtime.stop()
  },
)

test(
  'it is the same memory on both threads, and views of it show nothing once it is back',
  LIMIT,
  async () => {
    const { runtime, task } = await startPair()
    await using _owned = runtime
    const lease = allocateBuffer(1000)
    lease.bytes.fill(7)
    const { bytes } = lease

    await call(task, 'keep', detachBuffer(lease))

    assert.equal(await call(task, 'touch'), 8)
    assert.equal(bytes[0], 8)
    assert.throws(() => lease.bytes, { code: 'ERR_BUFFER_RELEASED' })
    assert.equal(await call(task, 'release'), 0)
    await runtime.stop()
  },
)

test('what a driver for tasks holds counts to the limit of its lender', LIMIT, async () => {
  const { runtime, io, task } = await startPair()
  await using _owned = runtime
  for (let count = 0; count < 8; count++) await call(task, 'keep', await fill(io, 1, 32))

  await assert.rejects(fill(io, 1, 32), { code: 'ERR_OUT_OF_MEMORY' })

  assert.equal(await leasedCount(io), 8)
  await call(task, 'release')
  await untilLeased(io, 0)
  await fill(io, 1, 32)
  await runtime.stop()
})

test(
  'what a stream has received is looked at by another thread, and received into again',
  LIMIT,
  async () => {
    const { runtime, task } = await startPair()
    await using _owned = runtime
    await using listener = await TcpListener.bind({ port: 0 })
    const accepting = listener.accept()
    await using client = await TcpStream.connect({ port: listener.address.port })
    await using server = await accepting
    let lentCount = 0
    let receivedBytes = 0

    // Twice what this thread can have in all.
    while (receivedBytes < 2 * MEMORY_BYTES) {
      await client.write(new Uint8Array(8 * KIB).fill(1))
      const lease = await server.readLease()
      const { lengthBytes } = lease!
      const ticket = detachBuffer(lease!)
      if (ticket.bytes === null) lentCount++
      assert.equal(await call(task, 'sum', ticket), lengthBytes)
      receivedBytes += lengthBytes
    }

    assert.ok(lentCount > 0)
  },
)

test(
  'a ticket is good once: not twice, not once it is spent, and not if it is made up',
  LIMIT,
  async () => {
    const { runtime, io, task } = await startPair()
    await using _owned = runtime
    const spent = { code: 'ERR_TICKET_SPENT' }
    const ticket = await fill(io, 1)
    await call(task, 'keep', ticket)

    await assert.rejects(call(task, 'sum', ticket), spent)
    assert.throws(() => adoptBuffer(ticket), spent)
    assert.equal(discardBuffer(ticket), false)
    await call(task, 'release')
    await assert.rejects(call(task, 'sum', ticket), spent)
    for (const name of [0, ticket.name + 1, 2 ** 21 + ticket.name, Number.MAX_SAFE_INTEGER]) {
      assert.throws(() => adoptBuffer({ ...ticket, name }), spent)
      assert.equal(discardBuffer({ ...ticket, name }), false)
    }
    const discarded = await fill(io, 1)
    assert.equal(discardBuffer(discarded), true)
    assert.equal(discardBuffer(discarded), false)
    assert.throws(() => adoptBuffer(discarded), spent)
    await untilLeased(io, 0)
    await runtime.stop()
  },
)

test('of many that adopt one ticket one has it', LIMIT, async () => {
  const { runtime, io, task } = await startPair()
  await using _owned = runtime
  for (let count = 0; count < 20; count++) {
    const ticket = await fill(io, 1)
    const adopting = [io, task, io, task].map((driver) => call(driver, 'sum', ticket))
    const results = await Promise.allSettled(adopting)
    assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  }
  await untilLeased(io, 0)
  await runtime.stop()
})

test('leases of a driver that is terminated go back', LIMIT, async () => {
  const { runtime, io, task } = await startPair()
  await using _owned = runtime
  await call(task, 'keep', await fill(io, 1))
  await call(task, 'keep', await fill(io, 2))
  assert.equal(await leasedCount(io), 2)

  await task.shard.terminate()

  await untilLeased(io, 0)
  await runtime.stop()
})

test('leases of an executor that is closed go back, though its thread goes on', LIMIT, async () => {
  const { runtime, io, task } = await startPair()
  await using _owned = runtime
  await call(task, 'keep', await fill(io, 1))

  await call(task, 'closeExecutor')

  await untilLeased(io, 0)
  await runtime.stop({ deadlineMs: 1000 })
})

test('memory stays while others have it, though its lender has ended', LIMIT, async () => {
  const { runtime, io, task } = await startPair()
  await using _owned = runtime
  await call(task, 'keep', await fill(io, 7))
  const neverAdopted = await fill(io, 1)

  await io.shard.terminate()

  assert.equal(await call(task, 'touch'), 8)
  await assert.rejects(call(task, 'sum', neverAdopted), { code: 'ERR_TICKET_SPENT' })
  assert.equal(await call(task, 'release'), 0)
  await runtime.stop()
})

test(
  'memory that its borrower has transferred goes back when that was collected',
  LIMIT,
  async () => {
    const { runtime, io, task } = await startPair()
    await using _owned = runtime
    assert.equal(await call(task, 'transfer', await fill(io, 1)), 4 * KIB)
    // A trip to the lender and back: it has heard whatever there was to hear.
    discardBuffer(await fill(io, 1))
    await untilLeased(io, 1)

    // Nobody can tell of which step of the loop a collection is seen.
    do await call(task, 'forgetTransferred')
    while ((await leasedCount(io)) > 0)

    assert.equal(await leasedCount(io), 0)
    await runtime.stop()
  },
)

test(
  'memory that its borrower has transferred is never used again once its thread has ended',
  LIMIT,
  async () => {
    const { runtime, io, task } = await startPair()
    await using _owned = runtime
    await call(task, 'transfer', await fill(io, 1))

    await task.shard.terminate()

    discardBuffer(await fill(io, 1))
    await untilLeased(io, 1)
    assert.equal(await leasedCount(io), 1)
    await runtime.stop()
  },
)

test('detachBuffer() refuses what is no lease, is released, or is in use; and copies what is on the heap', () => {
  const lease = allocateBuffer(16)
  lease.pin()

  assert.throws(() => detachBuffer(lease), { code: 'ERR_STILL_HELD' })
  lease.unpin()
  lease.bytes.fill(3)
  lease.trim(5)
  const ticket = detachBuffer(lease)
  assert.throws(() => detachBuffer(lease), { code: 'ERR_BUFFER_RELEASED' })
  assert.throws(() => detachBuffer(new Uint8Array(3) as never as Lease), TypeError)
  const adopted = adoptBuffer(structuredClone(ticket))
  assert.deepEqual([...adopted.bytes], [3, 3, 3, 3, 3])
  const further = detachBuffer(adopted)
  assert.deepEqual([...further.bytes!], [3, 3, 3, 3, 3])
  assert.ok(adopted.isReleased)
  assert.deepEqual([...adoptBuffer(further).bytes], [3, 3, 3, 3, 3])
  const empty = allocateBuffer(16)
  empty.trim(0)
  assert.equal(adoptBuffer(structuredClone(detachBuffer(empty))).bytes.length, 0)
  assert.ok(empty.isReleased)
})

test('a ticket that has its bytes has no others, whatever they were a part of', () => {
  const bytes = Buffer.from('mine')
  assert.ok(bytes.buffer.byteLength > 4, 'it is a part of a pool')
  const pooled = { kind: 'Buffer', name: -1, lengthBytes: 4, bytes } as const

  const ticket = detachBuffer(adoptBuffer(pooled))

  assert.equal(ticket.bytes!.buffer.byteLength, 4)
  bytes.fill(0)
  assert.deepEqual(ticket.bytes, new TextEncoder().encode('mine'))
})

test('adoptBuffer() and discardBuffer() refuse what is no ticket', () => {
  const ticket = detachBuffer(allocateBuffer(16))
  const wrong = [
    null,
    { ...ticket, kind: 'TcpStream' },
    { ...ticket, name: 'x' },
    { ...ticket, bytes: 3 },
    { ...ticket, more: 1 },
  ]

  for (const each of wrong) {
    assert.throws(() => adoptBuffer(each as BufferTicket), TypeError)
    assert.throws(() => discardBuffer(each as BufferTicket), TypeError)
  }
  assert.throws(() => adoptBuffer({ ...ticket, name: -2 }), RangeError)
  discardBuffer(ticket)
})
