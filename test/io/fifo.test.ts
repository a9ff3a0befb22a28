/** Opening a pipe that has a name waits for the other end, as open(2) does, and nobody else waits for that. */

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { closeSync, constants, createWriteStream, openSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { executor } from '../../src/index.ts'
import { BufferedFile, DirectFile, type OpenOptions } from '../../src/io/index.ts'
import { limited } from '../limits.ts'
import { assertNoLeak, holdings, makeFolder, runLimited } from './support.ts'

/** More than the kernel has threads for what blocks: four for each processor. */
const BLOCKED_COUNT: number = 4 * availableParallelism() + 32
const WAYS: readonly (readonly [string, OpenOptions])[] = [
  ['reading', {}],
  ['writing', { write: true }],
  ['writing, maybe creating', { write: true, create: true }],
  ['appending', { append: true }],
]

function makePipe(t: TestContext, name = 'pipe'): string {
  const path = join(makeFolder(t), name)
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  return path
}

/** So many round trips through the kernel take longer than an open that waits for nobody. */
async function passTime(path: string): Promise<void> {
  await using file = await BufferedFile.open(path)
  for (let round = 0; round < 20; round++) await file.sync()
}

for (const [way, options] of WAYS) {
  test(`open() of a pipe for ${way} waits for the other end`, async (t) => {
    const path = makePipe(t)
    const other = join(path, '..', 'other')
    writeFileSync(other, '')
    let isOpen = false

    const opening = BufferedFile.open(path, options).then((file) => {
      isOpen = true
      return file
    })
    await passTime(other)
    const wasOpen = isOpen
    // Both ends in one: that waits for nobody, and lets the other go on.
    const end = openSync(path, constants.O_RDWR)
    t.after(() => closeSync(end))
    await using file = await opening

    assert.equal(wasOpen, false)
    assert.equal(file.path, path)
  })

  test(`open() of a pipe for ${way} can be aborted, and takes a time limit`, async (t) => {
    const path = makePipe(t)
    const before = holdings()
    const controller = new AbortController()

    const opening = BufferedFile.open(path, { ...options, signal: controller.signal })
    const limited = BufferedFile.open(path, { ...options, timeoutMs: 5 })
    await assert.rejects(limited, { code: 'ERR_TASK_TIMEOUT' })
    controller.abort(new Error('enough'))

    await assert.rejects(opening, { message: 'enough' })
    assertNoLeak(before)
  })
}

test('two opens of a pipe, one for each end, meet', async (t) => {
  const path = makePipe(t)

  const [reader, writer] = await Promise.all([
    BufferedFile.open(path),
    BufferedFile.open(path, { write: true }),
  ])
  const reading = reader.read(0, 100)
  await writer.write(Buffer.from('through'), 0)

  assert.equal(Buffer.from(await reading).toString(), 'through')
  await writer.close()
  assert.equal((await reader.read(0, 100)).length, 0)
  await reader.close()
})

test('open() of a pipe for both ways waits for nobody', async (t) => {
  await using file = await BufferedFile.open(makePipe(t), { read: true, write: true })

  await file.write(Buffer.from('to itself'), 0)

  assert.equal(Buffer.from(await file.read(0, 100)).toString(), 'to itself')
})

for (const [way, options] of WAYS.slice(0, 3)) {
  test(
    `open() of a pipe for direct I/O, for ${way}, is refused at once`,
    limited(20_000),
    async (t) => {
      const path = makePipe(t)
      const before = holdings()

      await assert.rejects(DirectFile.open(path, options), { code: 'ERR_UNSUPPORTED' })

      assertNoLeak(before)
    },
  )
}

test(`${BLOCKED_COUNT} opens of pipes that nobody opens do not stop others`, async (t) => {
  const path = makePipe(t)
  const written = makePipe(t)
  const before = holdings()
  const controller = new AbortController()
  const { signal } = controller
  const blocked = Array.from({ length: BLOCKED_COUNT }, (_, index) => {
    if (index % 2 === 0) return BufferedFile.open(path, { signal })
    return BufferedFile.open(written, { append: true, create: true, signal })
  })
  const settled = Promise.allSettled(blocked)

  // Creating a file goes by way of the same threads of the kernel.
  for (let count = 0; count < 5; count++) {
    await using file = await BufferedFile.create(`${path}-${count}`)
    await file.write(Buffer.from('done'), 0)
    await file.sync()
  }
  controller.abort()

  const outcomes = await settled
  assert.ok(outcomes.every(({ status }) => status === 'rejected'))
  assertNoLeak(before)
  assert.equal(executor().stats().inFlightCount, before.inFlightCount)
})

test('a program ends while it waits for the other end of a pipe when it says so', (t) => {
  const path = makePipe(t)

  const result = runLimited({
    limit: 'true',
    args: [path],
    script: `
      io.BufferedFile.open(args[0]).catch(() => {})
      io.BufferedFile.open(args[0], { append: true, create: true }).catch(() => {})
      setTimeout(() => { console.log('true'); process.exit(0) }, 50)`,
  })

  assert.equal(result, true)
})

test('open() of a pipe lets a writer of node:fs go on', async (t) => {
  const path = makePipe(t)
  const stream = createWriteStream(path)

  await using file = await BufferedFile.open(path)
  stream.end('from node')

  assert.equal(Buffer.from(await file.read(0, 100)).toString(), 'from node')
  const handle = await open(path, constants.O_RDWR)
  await handle.close()
})
