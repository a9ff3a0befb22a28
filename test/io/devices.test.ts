/** Character devices: those that have positions, those that have everything at each, and streams. */

import assert from 'node:assert/strict'
import { accessSync, closeSync, constants, openSync, readSync } from 'node:fs'
import { test } from 'node:test'
import { BufferedFile } from '../../src/io/index.ts'

const MIB = 1024 * 1024

test('read() and readInto() of a device without an end bring all that is asked for', async () => {
  for (const path of ['/dev/zero', '/dev/full', '/dev/urandom']) {
    await using device = await BufferedFile.open(path)
    const target = new Uint8Array(MIB + 7).fill(1)

    assert.equal((await device.read(5, MIB + 7)).length, MIB + 7, path)
    assert.equal(await device.readInto(target, 5), MIB + 7, path)
    if (path !== '/dev/urandom') assert.ok(target.every((byte) => byte === 0))
  }
})

test('read() of a device that is empty, or full, says so', async () => {
  await using none = await BufferedFile.open('/dev/null', { read: true, write: true })
  await using full = await BufferedFile.open('/dev/full', { write: true })

  assert.equal((await none.read(0, MIB)).length, 0)
  assert.equal(await none.write(new Uint8Array(MIB), 100), MIB)
  await assert.rejects(full.write(new Uint8Array(10), 0), { code: 'ENOSPC', syscall: 'write' })
})

/** A device of 16-byte records, by position: what this processor answers to each leaf of CPUID. */
const LEAVES = '/dev/cpu/0/cpuid'

function hasLeaves(): { skip: string | false } {
  try {
    accessSync(LEAVES, constants.R_OK)
    return { skip: false }
  } catch (error) {
    return { skip: String(error) }
  }
}

test('read() of a device that has positions goes by them', hasLeaves(), async () => {
  const fd = openSync(LEAVES, 'r')
  const expected = [0, 1].map((leaf) => {
    const record = Buffer.alloc(16)
    assert.equal(readSync(fd, record, 0, 16, leaf), 16)
    return record
  })
  closeSync(fd)
  await using device = await BufferedFile.open(LEAVES)

  const found = [await device.read(1, 16), await device.read(0, 16), await device.read(1, 16)]

  // Vendor and family: the rest of leaf 1 depends on which processor answers.
  const known = (record: Uint8Array): string => Buffer.from(record.subarray(0, 4)).toString('hex')
  assert.deepEqual(found.map(known), [expected[1]!, expected[0]!, expected[1]!].map(known))
})

test('read() of a terminal brings what comes first', async () => {
  // The side of a new pseudo-terminal that a terminal emulator has: what it types is echoed to it.
  await using terminal = await BufferedFile.open('/dev/ptmx', { read: true, write: true })

  const reading = terminal.read(100, MIB)
  await terminal.write(Buffer.from('a line\n'), 100)

  assert.match(Buffer.from(await reading).toString(), /^a/)
})
