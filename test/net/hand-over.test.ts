/** A connection that is given away and taken over, by the thread itself: what goes with it, and what is refused. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { executor } from '../../src/executor/index.ts'
import { type StreamConsumer, TcpStream, type TcpStreamTicket } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { holdings, ignore, Pair, pattern, readPattern, until } from './support.ts'

/** More than the kernel holds for a peer that does not read. */
const MUCH_BYTES: number = 8 * 1024 * 1024

/** As it is when it has been posted. */
function post(ticket: TcpStreamTicket): TcpStreamTicket {
  return structuredClone(ticket)
}

async function moveOn(stream: TcpStream): Promise<TcpStream> {
  return TcpStream.adopt(post(await stream.detach()))
}

/** Reads until bytes wait that nobody has asked for. */
async function receiveAhead(pair: Pair, lengthBytes: number): Promise<void> {
  await pair.client.write(pattern(0, lengthBytes))
  const first = await pair.server.read()
  assert.ok(first !== null)
  await pair.client.write(pattern(0, lengthBytes))
  await until(() => pair.server.bytesRead === first.length + lengthBytes)
}

testOnBoth('adopt() goes on where detach() left off, in both directions', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 1000))
  await readPattern(pair.server, 1000)
  await pair.server.write(pattern(0, 10))

  await using adopted = await moveOn(pair.server)

  assert.equal(pair.server.isClosed, true)
  assert.equal(adopted.bytesRead, 1000)
  assert.equal(adopted.bytesWritten, 10)
  assert.deepEqual(adopted.remoteAddress, pair.client.localAddress)
  await readPattern(pair.client, 10)
  await Promise.all([adopted.write(pattern(0, 3000)), readPattern(pair.client, 3000)])
  await Promise.all([pair.client.write(pattern(0, 3000)), readPattern(adopted, 3000)])
  assert.equal(adopted.bytesRead, 4000)
})

testOnBoth('detach() of a stream that was never used gives all of it', async () => {
  await using pair = await Pair.open()
  const writing = pair.client.write(pattern(0, 100_000))

  await using adopted = await moveOn(pair.server)

  await Promise.all([writing, readPattern(adopted, 100_000)])
})

testOnBoth(
  'a ticket has what had come and was not read, and no more memory than that',
  async () => {
    await using pair = await Pair.open()
    await receiveAhead(pair, 500)

    const ticket = await pair.server.detach()

    assert.deepEqual(ticket.received, pattern(0, 500))
    assert.equal(ticket.received.buffer.byteLength, 500)
    await using adopted = TcpStream.adopt(post(ticket))
    await readPattern(adopted, 500)
  },
)

testOnBoth('a ticket is good for one taker', async () => {
  await using pair = await Pair.open()
  const ticket = await pair.server.detach()

  await using adopted = TcpStream.adopt(ticket)

  assert.throws(() => TcpStream.adopt(post(ticket)), { code: 'ERR_TICKET_SPENT' })
  assert.equal(TcpStream.discard(ticket), false)
  await adopted.write(pattern(0, 4))
  await readPattern(pair.client, 4)
})

testOnBoth('a ticket that was used up names nothing that has come since', async () => {
  await using pair = await Pair.open()
  const first = await pair.server.detach()
  const adopted = TcpStream.adopt(first)

  const second = await adopted.detach()

  assert.throws(() => TcpStream.adopt(first), { code: 'ERR_TICKET_SPENT' })
  await TcpStream.adopt(second).close()
})

testOnBoth('discard() ends the connection, once', async () => {
  await using pair = await Pair.open()
  const ticket = await pair.server.detach()

  assert.equal(TcpStream.discard(post(ticket)), true)

  assert.equal(await pair.client.read(), null)
  assert.equal(TcpStream.discard(ticket), false)
  assert.throws(() => TcpStream.adopt(ticket), { code: 'ERR_TICKET_SPENT' })
})

testOnBoth('detach() awaits what was written, and refuses what comes after', async () => {
  await using pair = await Pair.open()
  const writing = pair.server.write(pattern(0, MUCH_BYTES))
  let isDetached = false

  const detaching = pair.server.detach().finally(() => {
    isDetached = true
  })

  await assert.rejects(pair.server.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.read(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.shutdown(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.detach(), { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(isDetached, false)
  const reading = readPattern(pair.client, MUCH_BYTES)
  await Promise.all([writing, reading])
  await TcpStream.adopt(await detaching).close()
})

testOnBoth('detach() that is given up leaves the stream as it was', async () => {
  await using pair = await Pair.open()
  const writing = pair.server.write(pattern(0, MUCH_BYTES))
  const controller = new AbortController()
  const detaching = pair.server.detach({ signal: controller.signal })

  controller.abort(new Error('enough'))

  await assert.rejects(detaching, /enough/)
  await assert.rejects(pair.server.detach({ timeoutMs: 1 }), { code: 'ERR_TASK_TIMEOUT' })
  await Promise.all([writing, readPattern(pair.client, MUCH_BYTES)])
  await Promise.all([pair.server.write(pattern(0, 100)), readPattern(pair.client, 100)])
  await Promise.all([pair.client.write(pattern(0, 100)), readPattern(pair.server, 100)])
})

testOnBoth('detach() is refused while somebody reads', async () => {
  await using pair = await Pair.open()
  const reading = pair.server.read()

  await assert.rejects(pair.server.detach(), { code: 'ERR_STILL_HELD' })

  await pair.client.write(pattern(0, 4))
  assert.equal((await reading)?.length, 4)
  await (await moveOn(pair.server)).close()
})

testOnBoth('detach() is refused to a consumer, and granted in its onEnd', async () => {
  await using pair = await Pair.open()
  const controller = new AbortController()
  const moved = new Promise<TcpStream>((resolve, reject) => {
    const consumer: StreamConsumer<TcpStream> = {
      onChunk: async (_chunk, stream) => {
        await assert.rejects(stream.detach(), { code: 'ERR_STILL_HELD' })
        controller.abort()
      },
      onEnd: (_error, stream) => void moveOn(stream).then(resolve, reject),
    }
    pair.server.consume(consumer, { signal: controller.signal })
  })

  await pair.client.write(pattern(0, 4))

  await using adopted = await moved
  await pair.client.write(pattern(0, 40))
  await readPattern(adopted, 40)
})

testOnBoth('detach() is refused while a shutdown is under way', async () => {
  await using pair = await Pair.open()
  const writing = pair.server.write(pattern(0, MUCH_BYTES))
  const shutting = pair.server.shutdown()

  await assert.rejects(pair.server.detach(), { code: 'ERR_STILL_HELD' })

  await Promise.all([writing, shutting, readPattern(pair.client, MUCH_BYTES)])
  await (await moveOn(pair.server)).close()
})

testOnBoth('close() during detach() wins', async () => {
  await using pair = await Pair.open()
  const writing = pair.server.write(pattern(0, MUCH_BYTES)).catch(ignore)
  const detaching = pair.server.detach()

  const closing = pair.server.close()

  await assert.rejects(detaching, { code: 'ERR_HANDLE_CLOSED' })
  await closing
  await writing
})

testOnBoth('close() right behind detach() of an idle stream leaves nothing open', async () => {
  const before = holdings().fdCount
  {
    await using pair = await Pair.open()
    const detaching = pair.server.detach()

    const closing = pair.server.close()

    const outcome = await detaching.then(TcpStream.discard, (error: { code: string }) => error.code)
    assert.ok(outcome === true || outcome === 'ERR_HANDLE_CLOSED')
    await closing
  }
  assert.equal(holdings().fdCount, before)
})

testOnBoth('a stream that was detached is closed here', async () => {
  await using pair = await Pair.open()
  const iterator = pair.server[Symbol.asyncIterator]()
  await using adopted = await moveOn(pair.server)

  await pair.server.close()
  await pair.server.reset()

  await assert.rejects(iterator.next(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.read(), { code: 'ERR_HANDLE_CLOSED', message: /was detached/ })
  await assert.rejects(pair.server.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.shutdown(), { code: 'ERR_HANDLE_CLOSED' })
  await assert.rejects(pair.server.detach(), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => pair.server.setNoDelay(true), { code: 'ERR_HANDLE_CLOSED' })
  assert.throws(() => pair.server.localAddress, { code: 'ERR_HANDLE_CLOSED' })
  await Promise.all([adopted.write(pattern(0, 4)), readPattern(pair.client, 4)])
})

testOnBoth(
  'the end that the peer has sent goes along, behind what it had sent before',
  async () => {
    await using pair = await Pair.open()
    await receiveAhead(pair, 300)
    await pair.client.shutdown()

    let stream = pair.server
    for (let round = 0; round < 5; round++) stream = await moveOn(stream)

    await readPattern(stream, 300)
    assert.equal(await stream.read(), null)
    assert.equal(await stream.read(), null)
    await using ended = await moveOn(stream)
    assert.equal(await ended.read(), null)
    await Promise.all([ended.write(pattern(0, 4)), readPattern(pair.client, 4)])
  },
)

testOnBoth('a side that was shut down stays so', async () => {
  await using pair = await Pair.open()
  await pair.server.shutdown()

  await using adopted = await moveOn(pair.server)

  await assert.rejects(adopted.write(pattern(0, 1)), { code: 'ERR_HANDLE_CLOSED' })
  assert.equal(await pair.client.read(), null)
  await Promise.all([pair.client.write(pattern(0, 4)), readPattern(adopted, 4)])
  await adopted.shutdown()
})

testOnBoth('a reset that came before is told to the taker, behind what had come', async () => {
  await using pair = await Pair.open()
  await receiveAhead(pair, 300)
  await pair.client.reset()
  // The failure is there once a write was refused.
  await assert.rejects(async () => {
    for (;;) await pair.server.write(pattern(0, 1))
  })

  await using adopted = await moveOn(pair.server)

  await readPattern(adopted, 300)
  await assert.rejects(adopted.read(), { code: 'ECONNRESET' })
  await assert.rejects(adopted.write(pattern(0, 1)))
})

testOnBoth('a reset that comes while the ticket is on its way is the next read’s', async () => {
  await using pair = await Pair.open()
  const ticket = await pair.server.detach()

  await pair.client.reset()

  await using adopted = TcpStream.adopt(ticket)
  await assert.rejects(adopted.read(), { code: 'ECONNRESET' })
})

testOnBoth('leases on what was received outlive the stream that they came by', async () => {
  await using pair = await Pair.open()
  await pair.client.write(pattern(0, 100))
  using lease = await pair.server.readLease()

  await using adopted = await moveOn(pair.server)

  assert.deepEqual(new Uint8Array(lease!.bytes), pattern(0, 100))
  await Promise.all([adopted.write(lease!), readPattern(pair.client, 100)])
})

testOnBoth('what is no ticket is refused by name', async () => {
  await using pair = await Pair.open()
  const ticket = await pair.server.detach()

  for (const [wrong, kind] of [
    [undefined, TypeError],
    [{}, TypeError],
    [{ ...ticket, kind: 'TcpListener' }, TypeError],
    [{ ...ticket, name: 1.5 }, RangeError],
    [{ ...ticket, name: -1 }, RangeError],
    [{ ...ticket, received: 'ping' }, TypeError],
    [{ ...ticket, readErrno: 5 }, RangeError],
    [{ ...ticket, hasEnded: 1 }, TypeError],
    [{ ...ticket, remoteAddress: undefined }, TypeError],
    [{ ...ticket, extra: true }, TypeError],
  ] as const) {
    assert.throws(() => TcpStream.adopt(wrong as never), kind)
    assert.throws(() => TcpStream.discard(wrong as never), kind)
  }
  await assert.rejects(pair.client.detach({ outlivesThread: 1 as never }), TypeError)
  await assert.rejects(pair.client.detach({ outlives: true } as never), /did you mean|only/)
  assert.throws(() => TcpStream.adopt({ ...ticket, name: 2 ** 52 }), { code: 'ERR_TICKET_SPENT' })
  await TcpStream.adopt(ticket).close()
})

testOnBoth('a thousand hand-overs leave nothing behind', async () => {
  await using pair = await Pair.open()
  let stream = await moveOn(pair.server)
  const before = holdings()

  for (let round = 0; round < 1000; round++) stream = await moveOn(stream)

  assert.deepEqual(holdings(), before)
  await stream.close()
})

test('detach() of an executor that closes is refused, and the connection closed with it', async () => {
  await simulate(1, async ({ kernel }) => {
    const pair = await Pair.open()
    void pair.server.write(pattern(0, MUCH_BYTES)).catch(ignore)
    const detaching = pair.server.detach()
    const closing = executor().close()

    await assert.rejects(detaching, { code: 'ERR_EXECUTOR_CLOSED' })

    await closing
    assert.deepEqual(kernel.leftovers().descriptors, [])
  })
})

testOnBoth('a ticket that is spent leaves no timer on the thread that has made it', async () => {
  await using pair = await Pair.open()
  await using other = await Pair.open()
  const { timerCount } = executor().stats()
  const ticket = await pair.server.detach({ adoptWithinMs: 60_000 })
  const unwanted = await other.server.detach({ adoptWithinMs: 60_000 })
  const before = executor().stats().timerCount

  await using adopted = TcpStream.adopt(post(ticket))
  const isDiscarded = TcpStream.discard(unwanted)

  assert.deepEqual([before, isDiscarded], [timerCount + 2, true])
  assert.equal(executor().stats().timerCount, timerCount)
  await pair.client.write(pattern(0, 10))
  await readPattern(adopted, 10)
  assert.equal(await other.client.read(), null)
})

testOnBoth(
  'a connection that nobody adopts in time is closed; one that was adopted is not',
  async () => {
    await using pair = await Pair.open()
    await using other = await Pair.open()
    const ticket = await pair.server.detach({ adoptWithinMs: 0 })
    await using adopted = TcpStream.adopt(post(await other.server.detach({ adoptWithinMs: 1000 })))

    assert.equal(await pair.client.read(), null)

    assert.throws(() => TcpStream.adopt(post(ticket)), { code: 'ERR_TICKET_SPENT' })
    assert.equal(TcpStream.discard(ticket), false)
    await other.client.write(pattern(0, 10))
    await readPattern(adopted, 10)
    await assert.rejects(adopted.detach({ adoptWithinMs: -1 }), RangeError)
  },
)
