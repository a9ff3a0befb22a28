/** Where the ring can't set the size of a file, another thread does. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferedFile, DirectFile } from '../../src/io/index.ts'
import { simulate } from '../../src/testing/index.ts'

const OLD = { seed: 4, hasFtruncate: false }

test('truncate() works on a kernel whose rings have no such operation', async () => {
  const size = await simulate(OLD, async () => {
    await using file = await BufferedFile.create('/tmp/file')
    await file.write(new Uint8Array(1000).fill(1), 0)
    await Promise.all([file.truncate(600), file.write(new Uint8Array(10), 700)])
    await Promise.all([file.truncate(300), file.truncate(500)])
    return file.size()
  })

  assert.equal(size, 500)
})

test('truncate() tells an old kernel from a file that is open for reading', async () => {
  await simulate(OLD, async () => {
    await (await BufferedFile.create('/tmp/file')).close()
    await using reader = await BufferedFile.open('/tmp/file')

    const refused = reader.truncate(1)

    await assert.rejects(refused, { code: 'EINVAL', syscall: 'ftruncate', path: '/tmp/file' })
    assert.equal(reader.inFlightCount, 0)
  })
})

test('close() waits for a truncate() of another thread', async () => {
  const disk = await simulate(OLD, async ({ kernel }) => {
    const file = await BufferedFile.create('/tmp/file')
    const truncating = file.truncate(100)
    await file.close()
    await truncating
    return kernel.files
  })

  assert.equal(disk.readFile('/tmp/file')?.length, 100)
})

test('writeBytes() leaves the exact size on a kernel whose rings have no such operation', async () => {
  const size = await simulate(OLD, async () => {
    await using file = await DirectFile.create('/tmp/file')
    await file.writeBytes(new Uint8Array(1000).fill(1), 3)
    return file.size()
  })

  assert.equal(size, 1003)
})
