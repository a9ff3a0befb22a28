import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Prng } from '../../src/base/index.ts'
import { executor } from '../../src/index.ts'
import { DirectFile } from '../../src/io/index.ts'
import { assertNoLeak, holdings, makeFolder, needsDirect } from './support.ts'

const BLOCK_BYTES = 4096
const BLOCK_COUNT = 64
const OPERATION_COUNT = 5000
const SEED = 20_260

/** What a block may hold: its last version that is known to be written, and later aborted ones. */
class Block {
  readonly possible = new Set([0])
  lastVersion = 0

  settle(version: number): void {
    this.possible.clear()
    this.possible.add(version)
  }
}

test(`${OPERATION_COUNT} transfers aborted at random moments leak nothing and tear nothing`, {
  ...needsDirect(),
}, async (t) => {
  const path = join(makeFolder(t), 'file')
  const prng = new Prng(SEED)
  const before = holdings()
  const file = await DirectFile.create(path)
  await file.truncate(BLOCK_BYTES * BLOCK_COUNT)
  const blocks = Array.from({ length: BLOCK_COUNT }, () => new Block())
  let abortedCount = 0
  let doneCount = 0

  /** One user of one block: each transfer after the last, any of them aborted at any moment. */
  async function use(index: number): Promise<void> {
    using buffer = file.allocateBuffer(BLOCK_BYTES)
    const words = new Uint32Array(buffer.bytes.buffer, buffer.bytes.byteOffset, BLOCK_BYTES / 4)
    for (let count = 0; count < OPERATION_COUNT / BLOCK_COUNT; count++) {
      const controller = new AbortController()
      const isOver = prng.chance(0.5)
        ? write(index, words, buffer, controller.signal)
        : read(index, words, buffer, controller.signal)
      abortAtRandom(controller)
      if (await isOver) doneCount++
      else abortedCount++
    }
  }

  async function write(
    index: number,
    words: Uint32Array,
    buffer: Parameters<DirectFile['write']>[0],
    signal: AbortSignal,
  ): Promise<boolean> {
    const block = blocks[index]!
    const version = ++block.lastVersion
    words.fill(version * BLOCK_COUNT + index)
    block.possible.add(version)
    const isWritten = await isDone(file.write(buffer, index * BLOCK_BYTES, { signal }))
    if (isWritten) block.settle(version)
    return isWritten
  }

  async function read(
    index: number,
    words: Uint32Array,
    buffer: Parameters<DirectFile['write']>[0],
    signal: AbortSignal,
  ): Promise<boolean> {
    const isRead = await isDone(file.readInto(buffer, index * BLOCK_BYTES, { signal }))
    if (isRead) checkBlock(index, words)
    return isRead
  }

  function checkBlock(index: number, words: Uint32Array): void {
    const word = words[0]!
    assert.ok(
      words.every((other) => other === word),
      `block ${index} is torn (seed ${SEED})`,
    )
    const version = word === 0 ? 0 : (word - index) / BLOCK_COUNT
    assert.ok(
      blocks[index]!.possible.has(version),
      `block ${index} holds ${version} (seed ${SEED})`,
    )
  }

  function abortAtRandom(controller: AbortController): void {
    const moment = prng.int(0, 4)
    if (moment === 0) controller.abort()
    else if (moment === 1) queueMicrotask(() => controller.abort())
    else if (moment === 2) setImmediate(() => controller.abort())
    else if (moment === 3) setTimeout(() => controller.abort(), prng.int(0, 3))
  }

  await Promise.all(blocks.map((_, index) => use(index)))
  assert.equal(file.inFlightCount, 0)
  await file.close()

  const words = new Uint32Array(new Uint8Array(readFileSync(path)).buffer)
  const blockWords = BLOCK_BYTES / 4
  for (let index = 0; index < BLOCK_COUNT; index++) {
    checkBlock(index, words.subarray(index * blockWords, (index + 1) * blockWords))
  }
  assert.ok(abortedCount > 0 && doneCount > 0, 'some were aborted, some were not')
  assertNoLeak(before)
  assert.equal(executor().io.main.staleCount, 0)
})

test('reads of any stretch aborted at random moments give their memory back', {
  ...needsDirect(),
}, async (t) => {
  const file = await DirectFile.create(join(makeFolder(t), 'file'))
  await file.truncate(1024 * 1024)
  const prng = new Prng(SEED)
  const before = holdings()

  const reads = Array.from({ length: 500 }, async () => {
    const controller = new AbortController()
    const { signal } = controller
    const reading = file.read(prng.int(0, 2 ** 20), prng.int(0, 20_000), { signal })
    if (prng.chance(0.3)) controller.abort()
    else if (prng.chance(0.7)) setImmediate(() => controller.abort())
    const result = await reading.catch(() => null)
    result?.release()
  })
  await Promise.all(reads)

  assertNoLeak(before)
  await file.close()
})

/** Whether it came to its end; an abort is no failure here, all else is. */
async function isDone(transfer: Promise<number>): Promise<boolean> {
  try {
    assert.equal(await transfer, BLOCK_BYTES)
    return true
  } catch (error) {
    assert.equal((error as Error).name, 'AbortError')
    return false
  }
}
