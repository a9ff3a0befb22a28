/** What sysfs says of a block device: of the right one, and taken for what it is. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { executor } from '../../src/index.ts'
import { readBlockBytes, readDeviceQueue } from '../../src/io/devices/device-queue.ts'
import { DirectFile } from '../../src/io/index.ts'
import { ENOENT } from '../../src/kernel/index.ts'
import { simulate } from '../../src/testing/index.ts'
import { makeFolder, needsDirect, pattern } from './support.ts'

const NAME = 'logical_block_size'

/** Two NVMe disks, a partition of the second, what is mapped onto them, and nothing at minor 0 of the mapper. */
const SYSTEM: ReadonlyMap<string, string> = new Map([
  [`/sys/dev/block/259:0/queue/${NAME}`, '512\n'],
  [`/sys/dev/block/259:1/queue/${NAME}`, '4096\n'],
  [`/sys/dev/block/259:2/../queue/${NAME}`, '4096\n'],
  [`/sys/dev/block/253:3/queue/${NAME}`, '2048\n'],
])

function filesOf(texts: ReadonlyMap<string, string>): {
  readTextFile(path: string): string | number
} {
  return { readTextFile: (path) => texts.get(path) ?? -ENOENT }
}

const DEVICES: readonly (readonly [string, number, number, number | null])[] = [
  ['a disk', 259, 0, 512],
  ['a disk that is not the first of its driver', 259, 1, 4096],
  ['a partition, by its disk', 259, 2, 4096],
  ['a mapped device, by its own queue', 253, 3, 2048],
  ['a device that sysfs does not know', 253, 0, null],
  ['what has no block device', 0, 44, null],
]

for (const [what, major, minor, wanted] of DEVICES) {
  test(`readBlockBytes() tells that of ${what}`, () => {
    assert.equal(readBlockBytes(filesOf(SYSTEM), { major, minor }), wanted)
  })
}

test('readBlockBytes() takes no size for one that is none', () => {
  for (const text of ['', '0\n', '-512\n', '256\n', '1000\n', '4k\n', '0x200\n', '2097152\n']) {
    const files = filesOf(new Map([[`/sys/dev/block/8:0/queue/${NAME}`, text]]))

    assert.equal(readBlockBytes(files, { major: 8, minor: 0 }), null, text)
  }
})

test('readDeviceQueue() prefers the queue of a device to that beside its folder', () => {
  const files = filesOf(
    new Map([
      ['/sys/dev/block/253:3/queue/io_poll', '1\n'],
      ['/sys/dev/block/253:3/../queue/io_poll', '0\n'],
    ]),
  )

  assert.equal(readDeviceQueue(files, { major: 253, minor: 3 }, 'io_poll'), '1')
})

for (const blockBytes of [512, 1024, 4096]) {
  test(`[sim] where files do not tell, alignment is that of a disk with blocks of ${blockBytes}`, async () => {
    const kernel = { seed: 9, hasStatxDioalign: false, directAlignmentBytes: blockBytes }
    await simulate(kernel, async () => {
      await using file = await DirectFile.create('/file')
      const data = pattern(3 * blockBytes, 9)
      using buffer = file.allocateBuffer(blockBytes)
      buffer.bytes.set(data.subarray(blockBytes, 2 * blockBytes))

      await file.write(buffer, blockBytes)
      await assert.rejects(file.readInto(buffer, blockBytes / 2), { code: 'ERR_UNALIGNED' })
      using found = await file.read(blockBytes + 3, 5)

      assert.equal(file.alignmentBytes, blockBytes)
      assert.deepEqual(found.bytes, data.slice(blockBytes + 3, blockBytes + 8))
    })
  })
}

test('[sim] where neither files nor their device tell, blocks of 4 KiB do', async (t) => {
  await simulate({ seed: 9, hasStatxDioalign: false }, async () => {
    t.mock.method(executor().kernel, 'readTextFile', () => -ENOENT)

    await using file = await DirectFile.create('/file')

    assert.equal(file.alignmentBytes, 4096)
  })
})

test('[linux] what sysfs says suits the device that a file is on', needsDirect(), async (t) => {
  await using file = await DirectFile.create(`${makeFolder(t)}/file`)
  const { deviceMajor: major, deviceMinor: minor } = file.identity
  const files = { readTextFile: (path: string) => tryRead(path) }
  const blockBytes = readBlockBytes(files, { major, minor })
  if (blockBytes === null) {
    t.skip('its file system has no block device')
    return
  }
  using buffer = file.allocateBuffer(Math.max(blockBytes, file.alignmentBytes))
  buffer.bytes.fill(7)

  await file.write(buffer, 0)
  using found = await file.read(0, buffer.lengthBytes)

  assert.ok(found.bytes.every((byte) => byte === 7))
  assert.ok(file.alignmentBytes % blockBytes === 0, `${file.alignmentBytes}, ${blockBytes}`)
})

function tryRead(path: string): string | number {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return -ENOENT
  }
}
