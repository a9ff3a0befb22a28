import assert from 'node:assert/strict'
import { executor } from '../../src/index.ts'
import { datagramRingFor } from '../../src/net/datagrams/datagram-ring.ts'
import type { SendNames } from '../../src/net/datagrams/send-names.ts'
import { UdpSocket } from '../../src/net/index.ts'
import { netRingFor } from '../../src/net/memory/net-ring.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

/** Null before Linux 6.1, where all names go in headers. */
function namesHere(): SendNames | null {
  const current = executor()
  return datagramRingFor(netRingFor(current, current.defaultQueue)).names
}

testOnBoth('datagrams reach whom they are for, also those beyond the rows of names', async () => {
  const receivers = [await UdpSocket.bind({ port: 0 }), await UdpSocket.bind({ port: 0 })]
  const senders = await Promise.all(Array.from({ length: 4 }, () => UdpSocket.bind({ port: 0 })))
  const tos = receivers.map(({ localAddress }) => localAddress)

  const sends: Promise<void>[] = []
  let takenCountMax = 0
  for (let index = 0; index < 50; index++) {
    for (const [number, sender] of senders.entries()) {
      const to = tos[number % 2]!
      sends.push(sender.send(pattern(number % 2, 40 + index), { to }))
      takenCountMax = Math.max(takenCountMax, namesHere()?.takenCount ?? 128)
    }
  }
  await Promise.all(sends)

  for (const [number, receiver] of receivers.entries()) {
    const lengths = new Map<number, number>()
    for (let count = 0; count < 100; count++) {
      const { data } = await receiver.receive()
      assert.deepEqual(data, pattern(number, data.length))
      lengths.set(data.length, (lengths.get(data.length) ?? 0) + 1)
    }
    assert.deepEqual(
      [...lengths],
      Array.from({ length: 50 }, (_, index) => [40 + index, 2]),
    )
  }
  assert.equal(takenCountMax, 128)
  assert.equal(namesHere()?.takenCount ?? 0, 0)
  for (const socket of [...receivers, ...senders]) await socket.close()
})

testOnBoth('a row of names comes back from sends that fail, wait or are given up', async () => {
  const receiver = await UdpSocket.bind({ port: 0 })
  const sender = await UdpSocket.bind({ port: 0 })
  const to = receiver.localAddress
  const options = { to, signal: AbortSignal.abort() }

  const sends = Array.from({ length: 150 }, () => sender.send(pattern(0, 10), { to }))
  sends.push(sender.send(pattern(0, 65_530), { to }), sender.send(pattern(0, 10), options))
  const settled = Promise.allSettled(sends)
  await sender.close()

  const results = await settled
  assert.equal(results.at(-1)!.status, 'rejected')
  assert.equal(results.at(-2)!.status, 'rejected')
  assert.equal(namesHere()?.takenCount ?? 0, 0)
  await receiver.close()
})

testOnBoth('a datagram without data goes to an address, as does one of lent memory', async () => {
  const receiver = await UdpSocket.bind({ port: 0 })
  const sender = await UdpSocket.bind({ port: 0 })
  await sender.send(new Uint8Array(0), { to: receiver.localAddress })
  await sender.send(pattern(3, 30), { to: receiver.localAddress })
  assert.equal((await receiver.receive()).data.length, 0)

  const lease = await receiver.receiveLease()
  const echo = receiver.send(lease, { to: lease.from })
  lease.release()
  await echo

  const { data, from } = await sender.receive()
  assert.deepEqual(data, pattern(3, 30))
  assert.deepEqual(from, receiver.localAddress)
  assert.equal(namesHere()?.takenCount ?? 0, 0)
  await receiver.close()
  await sender.close()
})
