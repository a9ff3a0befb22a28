/** Hosts that a look-up would read as an address other than the one that people see. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TcpListener, TcpStream } from '../../src/net/index.ts'
import { validateEndpoint } from '../../src/net/values/address.ts'
import { resolver } from '../../src/net/values/resolve.ts'

const REFUSED = [
  '010.0.0.1',
  '127.0.0.01',
  '0x7f.1',
  '0X7F.0.0.1',
  '127.0x1',
  '127.0x',
  '127.1',
  '127.0.1',
  '2130706433',
  '0',
  '1.2.3.256',
  '1.2.3.4.5',
  '127.0.0.1.',
  ' 127.0.0.1',
  '127.0.0.1 ',
  '127.1\n',
  'example.1',
  '::ffff:010.0.0.1',
  '１２７.0.0.1',
  '127。0。0。1',
  '127.\u00ad1',
  '１.２.３.２５６',
]
const TAKEN = [
  '127.0.0.1',
  '0.0.0.0',
  '255.255.255.255',
  '::1',
  '::ffff:1.2.3.4',
  'fe80::1%3',
  'localhost',
  'example.com',
  'example.com.',
  '1.example',
  '0x7f.example',
  '127.0.0.1.nip.example',
  'a1',
  '0xg',
  'bücher.example',
]

for (const host of REFUSED) {
  test(`connect() and bind() refuse ${JSON.stringify(host)} before any look-up`, async (t) => {
    const lookup = t.mock.method(resolver, 'lookup', () => Promise.resolve([]))

    await assert.rejects(TcpStream.connect({ host, port: 1 }), RangeError)
    await assert.rejects(TcpListener.bind({ host, port: 0 }), RangeError)

    assert.equal(lookup.mock.callCount(), 0)
  })
}

test('validateEndpoint() takes names and canonical addresses', () => {
  for (const host of TAKEN) {
    assert.doesNotThrow(() => validateEndpoint('connect', host, 1, 1), host)
  }
})
