import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatAddress, parseAddress, type UnixAddress } from '../../src/net/values/address.ts'
import {
  decodeAddress,
  decodeIpAddress,
  encodeAddress,
  SOCKADDR_BYTES_MAX,
} from '../../src/net/values/sockaddr.ts'

test('parseAddress() and encodeAddress() round-trip every IPv4 address', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.integer({ min: 0, max: 65_535 }), (host, port) => {
      const address = parseAddress(host, port)!

      assert.deepEqual(decodeIpAddress(encodeAddress(address)), { host, port, family: 'ipv4' })
    }),
  )
})

test('parseAddress() and encodeAddress() round-trip every IPv6 address', () => {
  fc.assert(
    fc.property(fc.ipV6(), (host) => {
      const address = parseAddress(host, 80)!

      assert.ok(isIPv6(address.host), address.host)
      assert.deepEqual(decodeIpAddress(encodeAddress(address)), address)
      assert.equal(
        new URL(`http://[${host}]`).hostname,
        new URL(`http://[${address.host}]`).hostname,
      )
    }),
  )
})

test('parseAddress() takes for an address what node:net does', () => {
  const near = fc.stringMatching(/^[0-9a-f:.]{1,20}$/)
  fc.assert(
    fc.property(near, (host) => {
      assert.equal(parseAddress(host, 1) !== null, isIPv4(host) || isIPv6(host), host)
    }),
    { numRuns: 2000 },
  )
})

test('parseAddress() shortens as RFC 5952 says', () => {
  const text = (host: string): string => parseAddress(host, 0)!.host

  assert.equal(text('2001:0DB8:0:0:1:0:0:1'), '2001:db8::1:0:0:1')
  assert.equal(text('0:0:0:0:0:0:0:0'), '::')
  assert.equal(text('1:0:2:0:3:0:4:0'), '1:0:2:0:3:0:4:0')
  assert.equal(text('::ffff:1.2.3.4'), '::ffff:1.2.3.4')
  assert.equal(text('fe80::1%3'), 'fe80::1%3')
})

test('formatAddress() puts IPv6 hosts in brackets', () => {
  assert.equal(formatAddress({ host: '::1', port: 80, family: 'ipv6' }), '[::1]:80')
  assert.equal(formatAddress({ host: '127.0.0.1', port: 80, family: 'ipv4' }), '127.0.0.1:80')
})

test('encodeAddress() round-trips Unix addresses, and says where an abstract name ends', () => {
  const text = fc.stringMatching(/^[^\0]{1,30}$/)
  fc.assert(
    fc.property(text, fc.boolean(), (name, isAbstract) => {
      const address: UnixAddress = isAbstract
        ? { family: 'unix', path: null, abstractName: name }
        : { family: 'unix', path: name, abstractName: null }
      const raw = encodeAddress(address)
      const room = new Uint8Array(SOCKADDR_BYTES_MAX)
      room.set(raw)

      assert.deepEqual(decodeAddress(room, raw.length), address)
    }),
  )
})

test('encodeAddress() of a Unix address is what the kernel reads', () => {
  const of = (parts: Partial<UnixAddress>): string =>
    Buffer.from(
      encodeAddress({ family: 'unix', path: null, abstractName: null, ...parts }),
    ).toString('latin1')

  assert.equal(of({ path: '/x' }), '\x01\0/x\0')
  assert.equal(of({ abstractName: 'x' }), '\x01\0\0x')
  assert.equal(of({}), '\x01\0')
})

test('formatAddress() marks an abstract name', () => {
  const unix = { family: 'unix', path: null, abstractName: null } as const

  assert.equal(formatAddress({ ...unix, path: '/run/x' }), '/run/x')
  assert.equal(formatAddress({ ...unix, abstractName: 'x' }), '@x')
  assert.equal(formatAddress(unix), 'unnamed')
})
