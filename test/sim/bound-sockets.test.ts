import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM } from '../../src/kernel/index.ts'
import { loopback, type SimAddress } from '../../src/sim/address.ts'
import { BoundSockets } from '../../src/sim/bound-sockets.ts'
import type { SimSocket } from '../../src/sim/socket.ts'

/** What the sockets need to have of a socket; counts how often somebody looks at it. */
class Bound {
  readonly type: number
  readonly #local: SimAddress
  looks = 0

  constructor(local: SimAddress, type = SOCK_STREAM) {
    this.#local = local
    this.type = type
  }

  get local(): SimAddress {
    this.looks++
    return this.#local
  }
}

function bind(sockets: BoundSockets, local: SimAddress, type?: number): Bound {
  const bound = new Bound(local, type)
  sockets.add(bound as unknown as SimSocket)
  return bound
}

test('BoundSockets.at() and remove() look at no socket that is bound elsewhere', () => {
  const sockets = new BoundSockets()
  const others: Bound[] = []
  for (let port = 1; port <= 10_000; port++) others.push(bind(sockets, loopback(AF_INET, port)))
  const address = loopback(AF_INET, 20_000)
  const bound = bind(sockets, address) as unknown as SimSocket
  for (const other of others) other.looks = 0

  const found = [...sockets.at(address, SOCK_STREAM)]
  sockets.remove(bound)

  assert.deepEqual(found, [bound])
  assert.equal(sockets.at(address, SOCK_STREAM).size, 0)
  assert.equal(
    others.reduce((sum, { looks }) => sum + looks, 0),
    0,
  )
})

test('BoundSockets.at() gives those that share a port in the order in which they were bound', () => {
  const sockets = new BoundSockets()
  const address = loopback(AF_INET, 80)
  const first = bind(sockets, address)
  const second = bind(sockets, { ...address, host: '\0\0\0\0' })

  assert.deepEqual([...sockets.at(address, SOCK_STREAM)], [first, second])
})

test('BoundSockets.at() tells families, types and names apart', () => {
  const sockets = new BoundSockets()
  bind(sockets, loopback(AF_INET6, 80))
  bind(sockets, loopback(AF_INET, 80), SOCK_DGRAM)
  bind(sockets, { family: AF_UNIX, port: 0, host: '\0one' })

  assert.equal(sockets.at(loopback(AF_INET, 80), SOCK_STREAM).size, 0)
  assert.equal(sockets.at({ family: AF_UNIX, port: 0, host: '\0two' }, SOCK_STREAM).size, 0)
  assert.equal(sockets.at({ family: AF_UNIX, port: 0, host: '\0one' }, SOCK_STREAM).size, 1)
})
