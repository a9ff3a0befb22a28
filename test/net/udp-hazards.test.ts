import assert from 'node:assert/strict'
import { test } from 'node:test'
import { allocateBuffer, executor } from '../../src/index.ts'
import { UdpSocket, UnixDatagramSocket } from '../../src/net/index.ts'
import { configureNet, netRingFor } from '../../src/net/memory/net-ring.ts'
import { seeds, simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

/** Before its first socket alone. */
const configured = new WeakSet<object>()

/** So few buffers that some are always wanted. */
function scarce(): void {
  const current = executor()
  if (configured.has(current)) return
  configured.add(current)
  configureNet(current, { entryCount: 8, initialCount: 4 })
}

testOnBoth('without a free buffer unread datagrams are copied out, and others come', async () => {
  scarce()
  const first = await UdpSocket.bind({ port: 0 })
  const second = await UdpSocket.bind({ port: 0 })
  const client = await UdpSocket.bind({ port: 0 })
  const send = async (socket: UdpSocket, index: number): Promise<void> =>
    client.send(pattern(index, 100), { to: socket.localAddress })
  await send(first, 0)
  await first.receive()
  for (let index = 1; index < 20; index++) await send(first, index)

  for (let index = 0; index < 20; index++) {
    await send(second, index)
    assert.deepEqual((await second.receive()).data, pattern(index, 100))
  }

  for (let index = 1; index < 20; index++) {
    assert.deepEqual((await first.receive()).data, pattern(index, 100))
  }
  for (const socket of [first, second, client]) await socket.close()
})

testOnBoth(
  'leases that are kept leave buffers for others: further ones are on copies',
  async () => {
    scarce()
    const server = await UdpSocket.bind({ port: 0 })
    const client = await UdpSocket.connect(server.localAddress)
    const leases = []
    for (let index = 0; index < 20; index++) {
      await client.send(pattern(index, 50))
      leases.push(await server.receiveLease())
    }

    for (const [index, lease] of leases.entries()) {
      assert.deepEqual(new Uint8Array(lease.bytes), pattern(index, 50))
      lease.release()
    }

    await client.close()
    await server.close()
    const current = executor()
    assert.equal(netRingFor(current, current.defaultQueue).pool.buffers.userCount, 0)
  },
)

testOnBoth(
  "a lease that is being sent stays the kernel's, though it is released and the socket closed",
  async () => {
    const [one, other] = UnixDatagramSocket.pair()
    const leases = Array.from({ length: 400 }, (_, index) => {
      const lease = allocateBuffer(100)
      lease.bytes.set(pattern(index, 100))
      return lease
    })
    const sends = leases.map((lease) => one.send(lease))
    for (const lease of leases) lease.release()
    const settled = Promise.allSettled(sends)
    for (let index = 0; index < 100; index++) {
      assert.deepEqual((await other.receive()).data, pattern(index, 100))
    }

    await one.close()

    const results = await settled
    assert.ok(results.some(({ status }) => status === 'rejected'))
    await other.close()
  },
)

test('under faults nothing is lost but what UDP may lose, and nothing is left behind', async () => {
  for (const seed of seeds(20)) {
    const faults = {
      multishotEnd: 0.2,
      noBuffers: 0.2,
      cqOverflow: 0.1,
      delay: 0.05,
      reorder: 0.2,
      lateCancel: 0.5,
    }
    await simulate({ seed, faults }, async () => {
      scarce()
      const [one, other] = UnixDatagramSocket.pair()
      const found: Uint8Array[] = []
      const sending = (async () => {
        for (let index = 0; index < 60; index++) {
          await one.send(pattern(index, 30), { timeoutMs: 60_000 })
        }
      })()
      while (found.length < 60) {
        try {
          found.push((await other.receive({ timeoutMs: 1 })).data)
        } catch (error) {
          assert.equal((error as { code: string }).code, 'ERR_TASK_TIMEOUT')
        }
      }
      await sending
      for (const [index, data] of found.entries()) assert.deepEqual(data, pattern(index, 30))
      const pending = other.receive().catch(() => {})
      await one.close()
      await other.close()
      await pending
      const current = executor()
      assert.equal(netRingFor(current, current.defaultQueue).pool.buffers.userCount, 0)
    })
  }
})
