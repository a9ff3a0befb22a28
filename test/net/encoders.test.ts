import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NO_QUEUE } from '../../src/base/index.ts'
import { createDeferred, executor } from '../../src/executor/index.ts'
import {
  AF_INET,
  IORING_CQE_F_MORE,
  IORING_CQE_F_NOTIF,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  SHUT_WR,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_STREAM,
} from '../../src/kernel/index.ts'
import type { Lease } from '../../src/memory/index.ts'
import { decodeIpAddress, encodeAddress } from '../../src/net/values/sockaddr.ts'
import {
  BufferRing,
  encodeAccept,
  encodeConnect,
  encodeMessageRing,
  encodeReceive,
  encodeReceiveMessage,
  encodeReceiveSelect,
  encodeSend,
  encodeSendMessage,
  encodeSendTo,
  encodeSendZeroCopy,
  encodeShutdown,
  encodeSocket,
  Operation,
  type Ring,
  type SqeWords,
  type Target,
} from '../../src/ring/index.ts'
import { reactorOf } from '../reactor-of.ts'
import { pattern } from './support.ts'

/** One entry, and every completion of it. */
class Probe extends Operation {
  readonly completions: { readonly result: number; readonly flags: number }[] = []
  readonly #ended = createDeferred<void>()

  constructor() {
    super(NO_QUEUE)
  }

  override complete(result: number, flags: number): void {
    this.completions.push({ result, flags })
    if ((flags & IORING_CQE_F_MORE) === 0) this.#ended.resolve()
  }

  override run(): void {}

  async submitTo(ring: Ring, encode: (sqe: SqeWords, base: number) => void): Promise<number> {
    encode(ring.sqes, ring.begin())
    ring.commit(this)
    await this.#ended.promise
    return this.completions[0]!.result
  }
}

function run(encode: (sqe: SqeWords, base: number) => void): Promise<number> {
  return new Probe().submitTo(executor().io.main, encode)
}

function targetOf(fd: number): Target {
  assert.ok(fd >= 0, `a descriptor, not ${fd}`)
  return { fd, registered: false }
}

function openSocket(): Promise<number> {
  const args = { domain: AF_INET, type: SOCK_STREAM | SOCK_CLOEXEC, protocol: 0 }
  return run((sqe, base) => encodeSocket(sqe, base, args))
}

function openDatagrams(): Target {
  return targetOf(executor().kernel.openSocket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
}

/** A connection made by entries, but maybe for its listener. */
async function connectBoth(): Promise<{ client: Target; server: Target; close: () => void }> {
  const { kernel, memory } = executor()
  using buffer = memory.allocate(64)
  const { address } = buffer
  const raw = encodeAddress({ host: '127.0.0.1', port: 0, family: 'ipv4' })
  const addressBytes = raw.length
  const listener = targetOf(await openSocket())
  assert.equal(kernel.bindSocket(listener.fd, raw), 0)
  assert.equal(kernel.listenSocket(listener.fd, 5), 0)
  kernel.socketName(listener.fd, false, raw)
  assert.equal(decodeIpAddress(raw).host, '127.0.0.1')
  buffer.bytes.set(raw)
  const accepting = run((sqe, base) =>
    encodeAccept(sqe, base, { target: listener, multishot: false }),
  )
  const client = targetOf(await openSocket())
  assert.equal(
    await run((sqe, base) => encodeConnect(sqe, base, { target: client, address, addressBytes })),
    0,
  )
  const server = targetOf(await accepting)
  const close = (): void => {
    for (const { fd } of [listener, client, server]) kernel.closeFd(fd)
  }
  return { client, server, close }
}

/** A `struct msghdr` with one vector, at the start of the buffer; the data is at byte 256. */
function writeMessageHeader(buffer: Lease, lengthBytes: number): void {
  const words = new Uint32Array(buffer.bytes.buffer, buffer.bytes.byteOffset, 64)
  const put = (index: number, value: number): void => {
    words[index] = value
    words[index + 1] = value / 2 ** 32
  }
  words.fill(0)
  put(4, buffer.address + 128)
  put(6, 1)
  put(32, buffer.address + 256)
  put(34, lengthBytes)
}

test('SOCKET, ACCEPT and CONNECT make a connection; SEND and RECV use it', async () => {
  const { client, server, close } = await connectBoth()
  using out = executor().memory.allocate(1000)
  using into = executor().memory.allocate(1000)
  out.bytes.set(pattern(0, 1000))
  const messageFlags = MSG_WAITALL | MSG_NOSIGNAL

  const sent = await run((sqe, base) =>
    encodeSend(sqe, base, {
      target: client,
      address: out.address,
      lengthBytes: 1000,
      messageFlags,
    }),
  )
  const received = await run((sqe, base) =>
    encodeReceive(sqe, base, {
      target: server,
      address: into.address,
      lengthBytes: 1000,
      messageFlags: MSG_WAITALL,
    }),
  )

  assert.deepEqual([sent, received], [1000, 1000])
  assert.deepEqual(into.bytes, out.bytes)
  close()
})

test('SEND takes an address without a header', async (t) => {
  const { kernel, memory } = executor()
  if (!kernel.capabilities().hasAddressedSend) {
    t.skip('This kernel takes an address in a header alone')
    return
  }
  using out = memory.allocate(256)
  const name = encodeAddress({ host: '127.0.0.1', port: 0, family: 'ipv4' })
  const [from, to] = [openDatagrams(), openDatagrams()]
  assert.equal(kernel.bindSocket(to.fd, name), 0)
  kernel.socketName(to.fd, false, name)
  out.bytes.set(name)
  out.bytes.set(pattern(0, 100), 128)
  using into = memory.allocate(128)

  const { address } = out
  const sent = await run((sqe, base) =>
    encodeSendTo(sqe, base, {
      target: from,
      address: address + 128,
      lengthBytes: 100,
      messageFlags: MSG_NOSIGNAL,
      name: { address, lengthBytes: name.length },
    }),
  )
  const receive = { target: to, address: into.address, lengthBytes: 128, messageFlags: 0 }
  const received = await run((sqe, base) => encodeReceive(sqe, base, receive))

  assert.deepEqual([sent, received], [100, 100])
  assert.deepEqual(into.bytes.slice(0, 100), pattern(0, 100))
  for (const { fd } of [from, to]) kernel.closeFd(fd)
})

test('SEND_ZC completes twice: with the result, and when the memory is free', async () => {
  const { client, close } = await connectBoth()
  using out = executor().memory.allocate(4096)
  const probe = new Probe()

  await probe.submitTo(executor().io.main, (sqe, base) =>
    encodeSendZeroCopy(sqe, base, {
      target: client,
      address: out.address,
      lengthBytes: 4096,
      messageFlags: MSG_NOSIGNAL,
    }),
  )

  const [result, notification] = probe.completions
  assert.equal(probe.completions.length, 2)
  assert.equal(result!.result, 4096)
  assert.ok(result!.flags & IORING_CQE_F_MORE)
  assert.ok(notification!.flags & IORING_CQE_F_NOTIF)
  close()
})

test('SENDMSG and RECVMSG carry a message by its header', async () => {
  const { client, server, close } = await connectBoth()
  using out = executor().memory.allocate(1024)
  using into = executor().memory.allocate(1024)
  writeMessageHeader(out, 500)
  writeMessageHeader(into, 500)
  out.bytes.set(pattern(0, 500), 256)

  const sent = await run((sqe, base) =>
    encodeSendMessage(sqe, base, {
      target: client,
      header: out.address,
      messageFlags: MSG_NOSIGNAL,
    }),
  )
  const received = await run((sqe, base) =>
    encodeReceiveMessage(sqe, base, { target: server, header: into.address, messageFlags: 0 }),
  )

  assert.deepEqual([sent, received], [500, 500])
  assert.deepEqual(into.bytes.subarray(256, 756), out.bytes.subarray(256, 756))
  close()
})

test('MSG_RING makes a completion appear in the other ring', async () => {
  const { main, latency } = reactorOf(executor())
  const before = latency.staleCount

  const result = await run((sqe, base) =>
    encodeMessageRing(sqe, base, {
      ringFd: latency.memory.fd,
      result: 42,
      userDataLow: 7,
      userDataHigh: 2 ** 31 - 1,
    }),
  )

  assert.equal(result, 0)
  // Nobody there has that name, so that it is counted and dropped.
  while (latency.staleCount === before) await new Promise((resolve) => setImmediate(resolve))
  assert.equal(main.staleCount, 0)
})

for (const bundle of [false, true]) {
  test(`encodeReceiveSelect() fills an incremental ring piece by piece${bundle ? ', in bundles' : ''}`, async (t) => {
    const { kernel, main, memory } = reactorOf(executor())
    const buffers = new BufferRing({
      kernel,
      ring: main,
      memory,
      groupId: bundle ? 201 : 200,
      entryCount: 4,
      bufferBytes: 4096,
      initialCount: 4,
      incremental: true,
    })
    if (!buffers.isIncremental) {
      t.skip('This kernel has no incremental buffers')
      return
    }
    const { client, server, close } = await connectBoth()
    using lease = memory.allocate(3000)
    const receive = new Probe()
    const args = { target: server, bufferGroup: buffers.groupId, multishot: true, bundle }
    const ended = receive.submitTo(main, (sqe, base) => encodeReceiveSelect(sqe, base, args))

    for (let position = 0; position < 15_000; position += 3000) {
      lease.bytes.set(pattern(position, 3000))
      const { address } = lease
      const send = { target: client, address, lengthBytes: 3000, messageFlags: 0 }
      assert.equal(await run((sqe, base) => encodeSend(sqe, base, send)), 3000)
    }
    await run((sqe, base) => encodeShutdown(sqe, base, { target: client, how: SHUT_WR }))
    await ended

    const chunks: Uint8Array[] = []
    let hasBegunWithin = false
    for (const { result, flags } of receive.completions) {
      for (let has = buffers.take(result, flags); has; has = buffers.takeNext()) {
        const { buffer, startBytes, endBytes } = buffers.piece
        chunks.push(buffers.copy(buffer, startBytes, endBytes))
        hasBegunWithin ||= startBytes > 0
        buffers.release(buffer)
      }
    }
    assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), pattern(0, 15_000))
    assert.ok(hasBegunWithin)
    assert.equal(buffers.userCount, 0)
    close()
    buffers.close()
  })
}
