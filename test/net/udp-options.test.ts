import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type UdpDestination, UdpSocket } from '../../src/net/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { testOnBoth } from './both-kernels.ts'
import { pattern } from './support.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const bytesOf = (value: string): Uint8Array => Buffer.from(value)

test('IPv6 goes both ways, and ipv6Only leaves the port to IPv4', async () => {
  await using six = await UdpSocket.bind({ host: '::1', port: 0, ipv6Only: true })
  await using client = await UdpSocket.connect(six.localAddress)
  await client.send(bytesOf('six'))
  const { data, from } = await six.receive()

  assert.equal(text(data), 'six')
  assert.equal(from.family, 'ipv6')
  assert.deepEqual(from, client.localAddress)
  await six.send(data, { to: from })
  assert.equal(text((await client.receive()).data), 'six')
})

test('a send of segments comes as datagrams, brought together or not', async () => {
  for (const receiveOffload of [false, true]) {
    await using server = await UdpSocket.bind({ port: 0, receiveOffload })
    await using client = await UdpSocket.bind({ port: 0 })
    const data = pattern(5, 10_050)

    await client.send(data, { to: server.localAddress, segmentBytes: 1000 })

    for (let start = 0; start < data.length; start += 1000) {
      const end = Math.min(start + 1000, data.length)
      const isLease = start % 2000 === 0
      if (isLease) {
        using lease = await server.receiveLease()
        assert.deepEqual(new Uint8Array(lease.bytes), data.slice(start, end))
        assert.deepEqual(lease.from, client.localAddress)
      } else {
        const datagram = await server.receive()
        assert.deepEqual(datagram.data, data.slice(start, end))
        assert.deepEqual([datagram.isTruncated, datagram.fullBytes], [false, end - start])
      }
    }
    if (receiveOffload) assert.ok(server.receivedCount < 11, 'the kernel has brought some together')
    // More than 64 are refused.
    const many = client.send(new Uint8Array(2000), { to: server.localAddress, segmentBytes: 1 })
    await assert.rejects(many, (error: { code: string }) =>
      ['EINVAL', 'EMSGSIZE'].includes(error.code),
    )
  }
})

test('leases on segments of one buffer are each released by itself', async () => {
  await using server = await UdpSocket.bind({ port: 0, receiveOffload: true })
  await using client = await UdpSocket.connect(server.localAddress)
  await client.send(pattern(1, 300), { segmentBytes: 100 })
  const leases = [
    await server.receiveLease(),
    await server.receiveLease(),
    await server.receiveLease(),
  ]

  leases[1]!.release()
  leases[0]!.release()

  assert.deepEqual(new Uint8Array(leases[2]!.bytes), pattern(201, 100))
  leases[2]!.release()
})

testOnBoth('members of a group get what is sent to it, at their port', async () => {
  const host = '0.0.0.0'
  const first = await UdpSocket.bind({ host, port: 0, reuseAddress: true, reusePort: true })
  const { port } = first.localAddress
  const second = await UdpSocket.bind({ host, port, reuseAddress: true, reusePort: true })
  const client = await UdpSocket.bind({ port: 0, multicastInterface: '127.0.0.1', multicastTtl: 0 })
  for (const socket of [first, second]) socket.joinGroup('239.255.1.2', { interface: '127.0.0.1' })

  await client.send(bytesOf('all'), { to: { host: '239.255.1.2', port } })

  assert.equal(text((await first.receive()).data), 'all')
  assert.equal(text((await second.receive()).data), 'all')
  assert.throws(() => first.joinGroup('239.255.1.2', { interface: '127.0.0.1' }), {
    code: 'EADDRINUSE',
  })
  first.leaveGroup('239.255.1.2', { interface: '127.0.0.1' })
  assert.throws(() => first.leaveGroup('239.255.1.2', { interface: '127.0.0.1' }), {
    code: 'EADDRNOTAVAIL',
  })
  assert.throws(() => first.joinGroup('no address'), RangeError)
  for (const socket of [first, second, client]) await socket.close()
})

test('an IPv6 group is joined and left by the number of an interface', async () => {
  // What is sent to it needs a route, which few machines have for their loopback.
  await using socket = await UdpSocket.bind({ host: '::1', port: 0, multicastInterface: 1 })
  const through = { interface: 1 }
  socket.joinGroup('ff01::114', through)

  assert.throws(() => socket.joinGroup('ff01::114', through), { code: 'EADDRINUSE' })
  assert.throws(() => socket.joinGroup('239.0.0.1', through), RangeError)
  assert.throws(() => socket.joinGroup('ff01::115', { interface: '127.0.0.1' }), RangeError)
  socket.leaveGroup('ff01::114', through)
  assert.throws(() => socket.leaveGroup('ff01::114', through), { code: 'EADDRNOTAVAIL' })
})

testOnBoth('a broadcast is EACCES unless it was asked for', async () => {
  const server = await UdpSocket.bind({ host: '0.0.0.0', port: 0 })
  const client = await UdpSocket.bind({ host: '0.0.0.0', port: 0 })
  const to = { host: '127.255.255.255', port: server.localAddress.port }
  await assert.rejects(client.send(bytesOf('x'), { to }), { code: 'EACCES' })

  client.setBroadcast(true)
  await client.send(bytesOf('all'), { to })

  assert.equal(text((await server.receive()).data), 'all')
  await client.close()
  await server.close()
})

testOnBoth('options are set, and refused where they are wrong', async () => {
  const socket = await UdpSocket.bind({
    port: 0,
    ttl: 3,
    multicastTtl: 2,
    multicastLoop: false,
    broadcast: true,
    receiveBufferBytes: 50_000,
    sendBufferBytes: 40_000,
  })
  assert.deepEqual([socket.receiveBufferBytes(), socket.sendBufferBytes()], [100_000, 80_000])
  socket.setTtl(64)
  socket.setMulticastTtl(0)
  socket.setMulticastLoop(true)
  assert.throws(() => socket.setTtl(0), RangeError)
  assert.throws(() => socket.setMulticastTtl(256), RangeError)
  assert.throws(() => socket.setBroadcast(1 as never), TypeError)
  await socket.close()
  assert.throws(() => socket.setTtl(1), { code: 'ERR_HANDLE_CLOSED' })
  for (const wrong of [
    { ttl: 0 },
    { datagramBytesMax: 65_536 },
    { datagramBytesMax: 0 },
    { multicastInterface: 'nonsense' },
    { multicastInterface: -1 },
    { port: 65_536 },
    { host: '127.1' },
  ]) {
    await assert.rejects(UdpSocket.bind({ port: 0, ...wrong }), RangeError)
  }
  await assert.rejects(UdpSocket.bind({ port: 0, nonsense: 1 } as never), TypeError)
  await assert.rejects(UdpSocket.connect({ port: 0 }), RangeError)
  await assert.rejects(UdpSocket.connect({ port: 1, localHost: 'a.name' }), RangeError)
})

testOnBoth('connect() sends from the address and port that are asked for', async () => {
  const server = await UdpSocket.bind({ port: 0 })
  const probe = await UdpSocket.bind({ port: 0 })
  const { port } = probe.localAddress
  await probe.close()
  const client = await UdpSocket.connect({
    ...server.localAddress,
    localHost: '127.0.0.1',
    localPort: port,
  })

  await client.send(bytesOf('x'))

  assert.equal((await server.receive()).from.port, port)
  await client.close()
  await server.close()
})

test('in simulation datagrams are lost, doubled and overtaken where faults say so', async () => {
  const tell = (seed: number, faults: object): Promise<readonly number[]> => {
    const seen: number[] = []
    return simulate(
      seed,
      async () => {
        await using server = await UdpSocket.bind({ port: 0 })
        await using client = await UdpSocket.connect(server.localAddress)
        for (let index = 0; index < 100; index++) await client.send(Uint8Array.of(index))
        for (;;) {
          try {
            seen.push((await server.receive({ timeoutMs: 1000 })).data[0]!)
          } catch {
            break
          }
        }
      },
      { faults } as never,
    ).then(() => seen)
  }
  const plain = Array.from({ length: 100 }, (_, index) => index)

  assert.deepEqual(await tell(1, {}), plain)
  const lost = await tell(1, { datagramLoss: 0.2 })
  assert.ok(lost.length < 100)
  assert.deepEqual(
    lost,
    [...lost].sort((a, b) => a - b),
  )
  assert.ok((await tell(1, { datagramDuplicate: 0.2 })).length > 100)
  const reordered = await tell(1, { datagramReorder: 0.3 })
  assert.notDeepEqual(reordered, plain)
  assert.deepEqual(
    [...reordered].sort((a, b) => a - b),
    plain,
  )
  assert.deepEqual(await tell(1, { datagramReorder: 0.3 }), reordered)
})

testOnBoth('a send that fails names where it was to go', async () => {
  const socket = await UdpSocket.bind({ port: 0 })

  await assert.rejects(socket.send(pattern(0, 10), { to: { host: '::1', port: 9 } }), {
    code: 'EAFNOSUPPORT',
    address: '[::1]:9',
  })

  await socket.close()
})

testOnBoth('a place to send to that says something else is refused', async () => {
  const socket = await UdpSocket.bind({ port: 0 })
  const { host, port } = socket.localAddress

  const named = { host, port, size: 5 } as UdpDestination
  await assert.rejects(socket.send(pattern(0, 10), { to: named }), TypeError)
  const other: UdpDestination = { host, port, family: 'ipv6' }
  await assert.rejects(socket.send(pattern(0, 10), { to: other }), RangeError)

  await socket.close()
})

testOnBoth('a place to send to is refused by its own name, also after a right one', async () => {
  const socket = await UdpSocket.bind({ port: 0 })
  const to = { host: '127.0.0.1', port: socket.localAddress.port }
  await socket.send(pattern(0, 10), { to })

  const other = { ...to, family: 'ipv6' } as const
  await assert.rejects(socket.send(pattern(0, 10), { to: other }), RangeError)
  const none = { port: to.port } as never
  await assert.rejects(socket.send(pattern(0, 10), { to: none }), { message: /to\.host must be/ })
  const rinfo = { address: to.host, port: to.port } as never
  await assert.rejects(socket.send(pattern(0, 10), { to: rinfo }), { message: /'address'/ })
  await socket.close()
})

testOnBoth('senders of IPv6 are told apart, one after the other', async () => {
  const server = await UdpSocket.bind({ host: '::1', port: 0 })
  const clients = [
    await UdpSocket.connect(server.localAddress),
    await UdpSocket.connect(server.localAddress),
  ]
  for (const index of [0, 0, 1, 0, 1, 1]) {
    const { localAddress } = clients[index]!
    await clients[index]!.send(pattern(index, 10))

    assert.deepEqual((await server.receive()).from, localAddress)
  }

  for (const socket of [server, ...clients]) await socket.close()
})
