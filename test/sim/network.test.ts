import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { AF_INET, EADDRINUSE, EAGAIN, SOCK_DGRAM } from '../../src/kernel/index.ts'
import { loopback } from '../../src/sim/address.ts'
import type { SimCore } from '../../src/sim/core.ts'
import { Network } from '../../src/sim/network.ts'
import type { SimSocket } from '../../src/sim/socket.ts'

/** 32768 to 60999: net.ipv4.ip_local_port_range. */
const EPHEMERAL_PORTS = 28_232

test('bind() gives each ephemeral port once, then refuses with -EADDRINUSE', () => {
  const network = new Network({ prng: new Prng(1) } as SimCore)
  const create = (): SimSocket => network.create(AF_INET, SOCK_DGRAM) as SimSocket
  const bind = (socket: SimSocket): number => network.bind(socket, loopback(AF_INET, 0))
  const ports = new Set<number>()
  for (let count = 0; count < EPHEMERAL_PORTS; count++) {
    const socket = create()
    assert.equal(bind(socket), 0)
    ports.add(socket.local!.port)
  }

  const oneMore = create()

  assert.equal(ports.size, EPHEMERAL_PORTS)
  assert.equal(bind(oneMore), -EADDRINUSE)
  assert.equal(network.sendDatagram(oneMore, new Uint8Array(1), loopback(AF_INET, 1)), -EAGAIN)
})
